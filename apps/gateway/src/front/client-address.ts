/** From which address a request comes: pure. */
import { BlockList, isIP, isIPv6 } from 'node:net';

/** Of requests over the unix socket, which come from this machine. */
export const localAddress = 'local';

/**
 * @param ranges addresses and CIDR ranges, separated by commas
 * @throws Error that names what cannot be read
 */
export function parseRanges(ranges: string): BlockList {
  const list = new BlockList();
  for (const range of ranges.split(',').map((part) => part.trim())) {
    if (range === '') continue;
    const [address = '', prefix, more] = range.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    const bits = prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix);
    const isValid = isIP(address) !== 0 && more === undefined && /^\d{1,3}$/.test(prefix ?? '0');
    if (!isValid || bits > (family === 'ipv6' ? 128 : 32)) throw new Error(`${range} is no address and no CIDR range`);
    list.addSubnet(address, bits, family);
  }
  return list;
}

/**
 * The header is believed of trusted proxies alone, and of it the last address, which the nearest proxy has written:
 * whatever stands before that may be the client's own invention.
 * @param peer remote address of the connection; undefined on a unix socket
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | string[] | undefined,
  trusted: BlockList,
): string {
  if (peer === undefined || peer === '') return localAddress;
  const address = unmapped(peer);
  const isProxy = trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  const forwarded = isProxy ? [forwardedFor ?? []].flat().join(',').split(',').at(-1)?.trim() : undefined;
  return forwarded !== undefined && isIP(forwarded) !== 0 ? unmapped(forwarded) : address;
}

/** What is limited together: one IPv4 address, or the /64 that one IPv6 host may choose its addresses from. */
export function limitedTogether(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}

/** An IPv4 client of a socket that takes both is `::ffff:192.0.2.1`. */
function unmapped(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
