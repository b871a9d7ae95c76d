import { bytesInWords, counted, cpuInWords, listed } from './words';

it('says quantities as people read them', () => {
  expect([0, 1_023, 1_024, 2 ** 31, 1.5 * 2 ** 40, -5].map(bytesInWords)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '2 GiB',
    '1.5 TiB',
    '0 B',
  ]);
  expect([0, 100, 1_000, 1_500].map(cpuInWords)).toEqual(['0 CPUs', '0.1 CPUs', '1 CPU', '1.5 CPUs']);
  expect([counted(1, 'replica'), counted(2, 'replica')]).toEqual(['1 replica', '2 replicas']);
});

it('keeps lists short', () => {
  expect(listed(['a', 'b', 'c'])).toBe('a, b, c');
  expect(listed(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more');
});
