/** Tables that fit a terminal. What the next command needs is never cut: other columns give way, and some go. */

export type Cell = string | number | null | undefined;

export interface ColumnOptions {
  /** Never cut. The first column never is: it has the name or id that the next command needs. */
  isWhole?: boolean;
  /** Left out where there is no room, the rightmost first. */
  isSpare?: boolean;
}

/** Its title alone, or with how it gives way. */
export type Column = string | ({ title: string } & ColumnOptions);

const gap = '  ';
const leastWidth = 8;

/** @param width of the terminal in characters; Infinity where there is none, so that nothing is cut. */
export function formatTable(
  header: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
  emphasize: (text: string) => string = (text) => text,
): string {
  const texts = header.map((column, index) => {
    const options = typeof column === 'string' ? { title: column } : column;
    const cells = [options.title, ...rows.map((row) => textOf(row[index]))];
    const natural = Math.max(...cells.map(({ length }) => length));
    const least = options.isWhole === true || index === 0 ? natural : Math.min(natural, leastWidth);
    return { cells, natural, least, isSpare: options.isSpare === true };
  });
  const shown = withoutSpares(texts, width);
  const widths = shrinkToWidth(shown, width);
  const line = (row: number) =>
    shown
      .map(({ cells }, column) => pad(cells[row] ?? '', widths[column] ?? 0))
      .join(gap)
      .trimEnd();
  return [emphasize(line(0)), ...rows.map((_, row) => line(row + 1))].join('\n');
}

interface Measured {
  /** In characters: with nothing cut, and with as much cut as may be. */
  natural: number;
  least: number;
  isSpare: boolean;
}

const total = (widths: readonly number[]) =>
  widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1);

function withoutSpares<T extends Measured>(columns: readonly T[], width: number): readonly T[] {
  const spare = columns.findLastIndex(({ isSpare }) => isSpare);
  if (spare === -1 || total(columns.map(({ least }) => least)) <= width) return columns;
  return withoutSpares(columns.toSpliced(spare, 1), width);
}

/** The widest give way first. */
function shrinkToWidth(columns: readonly Measured[], width: number): number[] {
  const widths = columns.map(({ natural }) => natural);
  while (total(widths) > width) {
    const room = columns.map(({ least }, column) => ((widths[column] ?? 0) > least ? (widths[column] ?? 0) : 0));
    const widest = room.indexOf(Math.max(...room));
    if (room[widest] === 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function pad(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`;
}

function textOf(cell: Cell): string {
  if (cell === null || cell === undefined || cell === '') return '–';
  return String(cell).replaceAll(/\s+/g, ' ');
}

/** `3 s`, `5 min`, `2 h`, `4 d`: how long ago, for a table. */
export function age(time: string, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
