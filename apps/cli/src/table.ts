/** Tables that fit a terminal: columns are as wide as they must be, and the widest give way first. */

export type Cell = string | number | null | undefined;

const gap = '  ';
const leastWidth = 8;

/** @param width of the terminal in characters; Infinity where there is none, so that nothing is cut. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  width: number,
  emphasize: (text: string) => string = (text) => text,
): string {
  const cells = rows.map((row) => header.map((_, column) => textOf(row[column])));
  const natural = header.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const widths = shrinkToWidth(natural, width);
  const line = (texts: readonly string[]) =>
    texts
      .map((text, column) => pad(text, widths[column] ?? 0))
      .join(gap)
      .trimEnd();
  return [emphasize(line(header)), ...cells.map(line)].join('\n');
}

function shrinkToWidth(natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1);
  while (total() > width) {
    const widest = widths.indexOf(Math.max(...widths));
    const current = widths[widest] ?? 0;
    if (current <= leastWidth) break;
    widths[widest] = current - 1;
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
