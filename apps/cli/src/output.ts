/** What the command prints: text for people, or with --json one document for programs; with -f one a line. */
import { styleText } from 'node:util';
import { asCalled } from './called-as';
import { type Cell, type Column, formatTable } from './table';

export interface OutputStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan' | 'magenta' | 'blue';

export class Output {
  /** Set by commands that print an answer and yet did not find things well. */
  exitCode = 0;
  private statusLine = '';

  constructor(
    private readonly out: OutputStream,
    private readonly err: OutputStream,
    readonly json: boolean,
  ) {}

  get isTerminal(): boolean {
    return this.out.isTTY === true && !this.json;
  }

  /** The command's answer: `value` for programs, `text` for people. */
  result(value: unknown, text: () => string | undefined): void {
    const printed = this.json ? JSON.stringify(value, null, 2) : text();
    if (printed !== undefined) this.print(printed);
  }

  /** One of an endless row of answers: JSON on one line each. */
  item(value: unknown, text: () => string): void {
    this.print(this.json ? JSON.stringify(value) : text());
  }

  /** A table, or where it has no rows a sentence that says so. */
  list(header: readonly Column[], rows: readonly (readonly Cell[])[], nothing: string): string {
    return rows.length === 0 ? asCalled(nothing) : this.table(header, rows);
  }

  table(header: readonly Column[], rows: readonly (readonly Cell[])[]): string {
    const width = this.out.isTTY === true ? this.columns : Infinity;
    return formatTable(header, rows, width, (text) => this.paint('bold', text));
  }

  /** For people only: progress, hints. With --json it goes nowhere. */
  note(text: string): void {
    if (!this.json) this.print(asCalled(text));
  }

  warning(text: string): void {
    this.clearStatus();
    this.err.write(`${asCalled(text)}\n`);
  }

  /** Shows one line that the next call replaces; nothing where there is no terminal. */
  status(text: string): void {
    if (this.json || text === this.statusLine) return;
    if (this.out.isTTY !== true) return;
    this.out.write(`\r\x1b[2K${clip(text, this.columns - 1)}`);
    this.statusLine = text;
  }

  failure(value: object, lines: readonly string[]): void {
    this.clearStatus();
    if (this.json) this.err.write(`${JSON.stringify({ error: value }, null, 2)}\n`);
    else this.err.write(`${asCalled(lines.join('\n'))}\n`);
  }

  paint(style: Style, text: string): string {
    return this.out.isTTY === true && process.env.NO_COLOR === undefined
      ? styleText(style, text, { validateStream: false })
      : text;
  }

  /** A terminal that does not know its width says 0. */
  private get columns(): number {
    return this.out.columns || 100;
  }

  private print(text: string): void {
    this.clearStatus();
    this.out.write(`${text}\n`);
  }

  private clearStatus(): void {
    if (this.statusLine === '') return;
    this.out.write('\r\x1b[2K');
    this.statusLine = '';
  }
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}…`;
}
