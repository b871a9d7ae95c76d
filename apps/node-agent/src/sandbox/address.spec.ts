import { chooseNetwork, formatNetwork, overlaps, parseNetwork, type Network } from './address';

const network = (text: string) => parseNetwork(text) as Network;

describe('networks', () => {
  it('reads and writes them, down to their first address', () => {
    expect(formatNetwork(network('10.200.3.4/16'))).toBe('10.200.0.0/16');
    expect(formatNetwork(network('255.255.255.255'))).toBe('255.255.255.255/32');
    for (const wrong of ['', '10.0.0', '10.0.0.256/8', '10.0.0.0/33', '::1/64', '1.2.3.4/5/6', 'ten/8'])
      expect(parseNetwork(wrong)).toBeUndefined();
  });

  it('sees which touch each other, whichever is larger', () => {
    expect(overlaps(network('10.0.0.0/8'), network('10.255.255.53'))).toBe(true);
    expect(overlaps(network('10.1.2.3'), network('10.0.0.0/8'))).toBe(true);
    expect(overlaps(network('10.1.0.0/16'), network('10.2.0.0/16'))).toBe(false);
    expect(overlaps(network('0.0.0.0/0'), network('192.168.1.0/24'))).toBe(true);
  });

  it('chooses one that nobody has, from where it is told to begin', () => {
    const pool = network('10.192.0.0/14');
    const choose = (start: number, ...taken: string[]) => {
      const found = chooseNetwork(pool, 16, taken.map(network), start);
      return found && formatNetwork(found);
    };
    expect(choose(0)).toBe('10.192.0.0/16');
    expect(choose(7)).toBe('10.195.0.0/16');
    expect(choose(3, '10.195.1.0/24')).toBe('10.192.0.0/16');
    expect(choose(0, '10.192.0.0/10')).toBeUndefined();
  });
});
