import { choosePort } from './ports';

const range = { first: 20_000, last: 29_999 };
const free = async () => true;

describe('choosePort', () => {
  it('begins with the first port and goes on behind the last one given', async () => {
    expect(await choosePort(range, new Set(), 0, free)).toBe(20_000);
    expect(await choosePort(range, new Set([20_000]), 20_000, free)).toBe(20_001);
    expect(await choosePort(range, new Set(), 20_007, free)).toBe(20_008);
  });

  it('goes round, past ports that instances or others have', async () => {
    expect(await choosePort(range, new Set([20_000]), range.last, free)).toBe(20_001);
    expect(await choosePort(range, new Set(), 20_000, async (port) => port > 20_004)).toBe(20_005);
  });

  it('finds none when all are taken', async () => {
    expect(await choosePort(range, new Set(), 0, async () => false)).toBeUndefined();
  });
});
