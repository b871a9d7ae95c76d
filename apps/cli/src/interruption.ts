/** Ctrl-C, or the end of the terminal, as a signal for what can be ended in order. */
import { CommandError, exitCodes } from './failure';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @param secondEnds where a second Ctrl-C ends the command at once; else it changes nothing: what is begun is finished */
export async function interruptible<T>(
  { secondEnds }: { secondEnds: boolean },
  work: (interrupted: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const silence = () => {
    for (const signal of signals) process.off(signal, interrupt);
  };
  const interrupt = () => {
    stop.abort(interruption('', 'Run the command again.'));
    if (secondEnds) silence();
  };
  for (const signal of signals) process.on(signal, interrupt);
  try {
    return await work(stop.signal);
  } finally {
    silence();
  }
}

/** @param told what it comes to, for that moment; instead of what the work fails with when it is interrupted */
export async function orInterrupted<T>(
  interrupted: AbortSignal | undefined,
  told: () => CommandError,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw interrupted?.aborted === true ? told() : error;
  }
}

export function interruption(state: string, nextStep: string): CommandError {
  return new CommandError(`Interrupted. ${state}`.trimEnd(), nextStep, exitCodes.interrupted);
}
