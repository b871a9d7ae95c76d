/** Which port an instance gets on this machine. Below the ports that the kernel gives to outgoing connections. */

/** Both included. */
export interface PortRange {
  first: number;
  last: number;
}

/**
 * The next port after `lastPort` that no instance has, round the range.
 * @param isFree whether nothing else on the machine listens there
 * @returns undefined when the whole range is taken
 */
export async function choosePort(
  { first, last }: PortRange,
  taken: ReadonlySet<number>,
  lastPort: number,
  isFree: (port: number) => Promise<boolean>,
): Promise<number | undefined> {
  const size = last - first + 1;
  const start = lastPort < first || lastPort >= last ? 0 : lastPort - first + 1;
  for (let step = 0; step < size; step++) {
    const port = first + ((start + step) % size);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  return undefined;
}
