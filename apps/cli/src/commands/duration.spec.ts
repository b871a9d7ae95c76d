import { duration } from './duration';

it('reads a number with a unit, and nothing else', () => {
  expect(['90s', '15m', '12h', '30d', '0s'].map(duration)).toEqual([90_000, 900_000, 43_200_000, 2_592_000_000, 0]);
  for (const text of ['', '5', 'd', '1w', '1.5h', '-1h', '1 h', '1hh', '9999999d'])
    expect(() => duration(text)).toThrow('such as 30d');
});
