import { isNews } from './report-order';

const last = { incarnation: 3, sequence: 10 };
const isNewsOf = (incarnation: number, sequence: number, silentMs = 0) =>
  isNews({ incarnation, sequence }, last, silentMs, 15_000);

it('takes reports in their order, a repeated one again, and of the newest incarnation', () => {
  expect(isNewsOf(3, 11)).toBe(true);
  expect(isNewsOf(3, 10)).toBe(true);
  expect(isNewsOf(3, 9)).toBe(false);
  expect(isNewsOf(4, 1)).toBe(true);
  expect(isNewsOf(2, 99)).toBe(false);
});

it('believes an agent whose clock was set back once its former self has fallen silent', () => {
  expect(isNewsOf(1, 1, 14_999)).toBe(false);
  expect(isNewsOf(1, 1, 15_000)).toBe(true);
});
