/** Pages of log lines of several instances, with one cursor for all of them. */
import { AltoError, type InputOf, type LogLine, type nodeAgentOperations, type OutputOf } from '@alto/contracts';
import type { LogCapability } from '../runtime/runtime';

type ReadLogs = typeof nodeAgentOperations.logs.read;

interface Share {
  readonly lines: number;
  readonly bytes: number;
}

interface Piece {
  readonly lines: LogLine[];
  /** Where the log goes on right behind the lines. */
  readonly cursor: string;
}

export class InstanceLogs {
  constructor(private readonly logs: LogCapability) {}

  /**
   * The lines of each instance are in order; those of different instances follow each other in blocks. What one leaves
   * of its share of the bytes is for those after it, and nobody waits because another one writes much.
   */
  async read(input: InputOf<ReadLogs>): Promise<OutputOf<ReadLogs>> {
    const cursors = parseCursor(input.cursor);
    const page: LogLine[] = [];
    let bytesLeft = input.bytes;
    const linesEach = Math.max(1, Math.floor(input.lines / input.instances.length));
    for (const [index, instance] of input.instances.entries()) {
      if (page.length >= input.lines) break;
      const share = {
        lines: Math.min(linesEach, input.lines - page.length),
        bytes: Math.floor(bytesLeft / (input.instances.length - index)),
      };
      const place = placeOf(instance);
      const { lines, cursor } = await this.piece(instance, cursors.get(place), share);
      cursors.set(place, cursor);
      page.push(...lines);
      bytesLeft = lines.reduce((left, line) => Math.max(0, left - bytesOf(line)), bytesLeft);
    }
    return { lines: page, cursor: formatCursor(cursors, input.instances) };
  }

  /** Without a cursor the newest lines that fit; with one the next that do, one at least, so that nothing gets stuck. */
  private async piece(instance: string, cursor: string | undefined, share: Share): Promise<Piece> {
    for (let linesMax = share.lines; ;) {
      const chunk = await this.logs.read(instance, { cursor, linesMax });
      const lines = chunk.lines.map((line) => ({ instance, ...line }));
      if (cursor === undefined) return { lines: within(lines.reverse(), share.bytes).reverse(), cursor: chunk.cursor };
      const fitting = within(lines, share.bytes);
      if (fitting.length === lines.length) return { lines: fitting, cursor: chunk.cursor };
      // A line with a part given back is two.
      if (linesMax === 1) return { lines: lines.map((line) => cut(line, share.bytes)), cursor: chunk.cursor };
      // Only a read of fewer lines has its cursor right behind them; it may find others, for the oldest are given back.
      linesMax = Math.max(1, Math.min(fitting.length, linesMax - 1));
    }
  }
}

/** As many of the first as fit, and the very first in any case. */
function within(lines: readonly LogLine[], bytesMax: number): LogLine[] {
  const fitting: LogLine[] = [];
  let bytes = 0;
  for (const line of lines) {
    const shown = cut(line, bytesMax);
    bytes += bytesOf(shown);
    if (fitting.length > 0 && bytes > bytesMax) break;
    fitting.push(shown);
  }
  return fitting;
}

/** A character takes from one byte to six, so what fits is found by trying. */
function cut(line: LogLine, bytesMax: number): LogLine {
  let shown = line;
  while (shown.text !== '' && bytesOf(shown) > bytesMax)
    shown = { ...shown, text: shown.text.slice(0, Math.floor(shown.text.length * 0.8)) };
  return shown;
}

/** As in the answer, with the comma behind it. */
function bytesOf(line: LogLine): number {
  return Buffer.byteLength(JSON.stringify(line)) + 1;
}

/** Short, so that the places of a hundred instances fit into one cursor. */
function placeOf(instance: string): string {
  return instance.slice(-8);
}

/** `<place>.<cursor of its log>~…`, of nobody else: a reader that follows outlives many instances. */
function formatCursor(cursors: ReadonlyMap<string, string>, instances: readonly string[]): string {
  return instances
    .map(placeOf)
    .flatMap((place) => (cursors.has(place) ? [`${place}.${cursors.get(place)}`] : []))
    .join('~');
}

function parseCursor(text: string | undefined): Map<string, string> {
  if (text === undefined || text === '') return new Map();
  if (!/^[\w-]+\.[0-9a-z]+(~[\w-]+\.[0-9a-z]+)*$/.test(text)) {
    throw new AltoError('invalid_request', { message: 'cursor is not one that was given out', field: 'cursor' });
  }
  return new Map(
    text.split('~').map((part) => {
      const [place = '', cursor = ''] = part.split('.');
      return [place, cursor];
    }),
  );
}
