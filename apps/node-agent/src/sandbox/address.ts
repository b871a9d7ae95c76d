/** IPv4 networks as numbers. Pure. */

export interface Network {
  first: number;
  bits: number;
}

/** `10.200.0.0/16`; an address alone is a network of one. @returns undefined for what is neither */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', length = '32', ...more] = text.split('/');
  const first = parseAddress(address);
  const bits = Number(length);
  if (first === undefined || more.length > 0 || !Number.isInteger(bits) || bits < 0 || bits > 32) return undefined;
  return { first: first - (first % 2 ** (32 - bits)), bits };
}

export function parseAddress(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((total, part) => total * 256 + Number(part), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

export function formatNetwork({ first, bits }: Network): string {
  return `${formatAddress(first)}/${bits}`;
}

export function overlaps(one: Network, other: Network): boolean {
  const size = 2 ** (32 - Math.min(one.bits, other.bits));
  return Math.floor(one.first / size) === Math.floor(other.first / size);
}

/**
 * The first network of `bits` in `pool` that touches none of those taken.
 * @param start any number: where the search begins, so that neighbours seldom try the same
 */
export function chooseNetwork(
  pool: Network,
  bits: number,
  taken: readonly Network[],
  start: number,
): Network | undefined {
  const count = 2 ** (bits - pool.bits);
  for (let step = 0; step < count; step++) {
    const candidate = { first: pool.first + ((start + step) % count) * 2 ** (32 - bits), bits };
    if (!taken.some((network) => overlaps(network, candidate))) return candidate;
  }
  return undefined;
}
