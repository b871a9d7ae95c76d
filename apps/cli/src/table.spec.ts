import { age, formatTable } from './table';

describe('formatTable', () => {
  it('makes columns as wide as they must be', () => {
    const table = formatTable(
      ['APP', 'READY'],
      [
        ['hello', '3/3'],
        ['a', null],
      ],
      Infinity,
    );
    expect(table).toBe('APP    READY\nhello  3/3\na      –');
  });

  it('lets the widest column give way to the terminal', () => {
    const table = formatTable(['APP', 'REASON'], [['hello', 'waiting for a machine that has room for it']], 30);
    expect(table.split('\n')[1]).toBe('hello  waiting for a machine …');
    for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(30);
  });

  it('keeps text with line breaks on one line', () => {
    expect(formatTable(['REASON'], [['one\ntwo']], Infinity)).toBe('REASON\none two');
  });
});

it('tells ages in the unit that fits', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  const ages = ['2026-01-01T23:59:30Z', '2026-01-01T23:30:00Z', '2026-01-01T12:00:00Z', '2025-12-20T00:00:00Z'];
  expect(ages.map((time) => age(time, now))).toEqual(['30 s', '30 min', '12 h', '13 d']);
});
