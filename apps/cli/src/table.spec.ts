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

  it('never cuts the first column, nor one that is to be whole', () => {
    const header = ['APP', 'REASON', { title: 'ADDRESS', isWhole: true }];
    const table = formatTable(header, [['a name that is long', 'and a reason for it', '127.0.0.1:20000']], 46);
    expect(table.split('\n')[1]).toBe('a name that is long  and a r…  127.0.0.1:20000');
  });

  it('leaves out what is spare, the rightmost first, before a column is too narrow', () => {
    const spare = (title: string) => ({ title, isSpare: true });
    const header = ['APP', spare('AGE'), 'REASON', spare('NODE')];
    const row = ['hello', '3 s', 'waiting for room', 'node-1'];
    const shownAt = (width: number) => formatTable(header, [row], width).split('\n')[1];
    expect(shownAt(50)).toBe('hello  3 s  waiting for room  node-1');
    expect(shownAt(30)).toBe('hello  3 s  waiting f…  node-1');
    expect(shownAt(27)).toBe('hello  3 s  waiting for ro…');
    expect(shownAt(18)).toBe('hello  waiting fo…');
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
