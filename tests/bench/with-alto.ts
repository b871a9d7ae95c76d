import { type Alto, startAlto } from '@alto/testing';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A whole Alto while `use` lasts. It is stopped as well when the bench is ended by a signal, or nobody reads it any more. */
export async function withAlto(
  options: Parameters<typeof startAlto>[0],
  use: (alto: Alto) => Promise<void>,
): Promise<void> {
  const starting = startAlto(options);
  let stopping: Promise<void> | undefined;
  const stop = () => (stopping ??= starting.then((alto) => alto.stop({ failed: false })));
  const leave = () => void stop().finally(() => process.exit(1));
  for (const signal of signals) process.on(signal, leave);
  process.stdout.on('error', leave);
  try {
    await use(await starting);
  } finally {
    await stop();
    for (const signal of signals) process.off(signal, leave);
    process.stdout.off('error', leave);
  }
}
