/** Which port an instance gets on this machine. Below the ports that the kernel gives to outgoing connections. */

export const INSTANCE_PORTS = { first: 20_000, last: 29_999 };

/**
 * The next port after `lastPort` that no instance has, round the range.
 * @param isFree whether nothing else on the machine listens there
 * @returns undefined when the whole range is taken
 */
export async function choosePort(
  taken: ReadonlySet<number>,
  lastPort: number,
  isFree: (port: number) => Promise<boolean>,
): Promise<number | undefined> {
  const { first, last } = INSTANCE_PORTS;
  const size = last - first + 1;
  const start = lastPort < first || lastPort >= last ? 0 : lastPort - first + 1;
  for (let step = 0; step < size; step++) {
    const port = first + ((start + step) % size);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  return undefined;
}
