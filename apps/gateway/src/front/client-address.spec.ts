import { clientAddress, limitedTogether, parseRanges } from './client-address';

const trusted = parseRanges('127.0.0.0/8, ::1, 10.1.0.0/16');

describe('clientAddress', () => {
  it('believes what a trusted proxy forwards, and of that the last address alone', () => {
    expect(clientAddress('127.0.0.1', '192.0.2.7', trusted)).toBe('192.0.2.7');
    expect(clientAddress('10.1.2.3', '6.6.6.6, 192.0.2.7', trusted)).toBe('192.0.2.7');
    expect(clientAddress('::1', ['6.6.6.6', '2001:db8::7'], trusted)).toBe('2001:db8::7');
    expect(clientAddress('::ffff:127.0.0.1', '::ffff:192.0.2.7', trusted)).toBe('192.0.2.7');
  });

  it('believes nobody else', () => {
    expect(clientAddress('192.0.2.1', '127.0.0.1', trusted)).toBe('192.0.2.1');
    expect(clientAddress('10.2.0.1', '192.0.2.7', trusted)).toBe('10.2.0.1');
  });

  it('goes by the connection where nothing usable is forwarded', () => {
    for (const header of [undefined, '', 'unknown', '192.0.2.7, ', '192.0.2.7:1234', '1.2.3'])
      expect(clientAddress('127.0.0.1', header, trusted)).toBe('127.0.0.1');
    expect(clientAddress(undefined, '192.0.2.7', trusted)).toBe('local');
  });
});

it('limits an IPv4 address alone and the IPv6 addresses of one host together', () => {
  expect(limitedTogether('192.0.2.7')).toBe('192.0.2.7');
  expect(limitedTogether('2001:db8:0:1:aaaa::1')).toBe('2001:db8:0:1::/64');
  expect(limitedTogether('2001:0db8:0000:0001::')).toBe('2001:db8:0:1::/64');
  expect(limitedTogether('2001:db8::1')).toBe('2001:db8:0:0::/64');
  expect(limitedTogether('::1')).toBe('0:0:0:0::/64');
  expect(limitedTogether('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
});

it.each(['x', '10.0.0.0/33', '::1/129', '10.0.0.0/8/8', '10.0.0.0/', '1.2.3.4/-1'])('refuses the range %s', (range) => {
  expect(() => parseRanges(range)).toThrow(range);
});
