/**
 * Reads workloads' logs in bounded pages. A log is one file that grows at its end and whose oldest part is
 * given back as a hole (see the log guard), so a byte offset stays a valid cursor for the file's life.
 */
import { appendFile, open, stat, type FileHandle } from 'node:fs/promises';
import type { LogCapability, LogChunk, LogEntry } from '../runtime';

/** Most that one read takes from the disk. */
const READ_BYTES_MAX = 256 * 1024;
/** A longer line is shown cut. */
const LINE_BYTES_MAX = 16 * 1024;
/** No program writes so many of these in a row. */
const HOLE = Buffer.alloc(2_048);
/** Begins the lines that the agent and its shims add. Programs do not write this character (ASCII record separator). */
export const noteMark = '\u001ealto ';

export class LogFiles implements LogCapability {
  constructor(private readonly pathOf: (id: string) => string) {}

  async read(id: string, options: { cursor?: string; linesMax: number }): Promise<LogChunk> {
    const file = await openQuietly(this.pathOf(id));
    if (!file) return { lines: [], cursor: '0' };
    try {
      const size = (await file.stat()).size;
      return options.cursor === undefined
        ? await readLast(file, size, options.linesMax)
        : await readAfter(file, size, parseCursor(options.cursor, size), options.linesMax);
    } finally {
      await file.close();
    }
  }

  /** What was given back as a hole takes nothing, whatever the file's length says. */
  async bytesOf(id: string): Promise<number> {
    return await stat(this.pathOf(id)).then(
      ({ blocks }) => blocks * 512,
      () => 0,
    );
  }

  async note(id: string, text: string, at: Date): Promise<void> {
    const path = this.pathOf(id);
    const line = `${noteMark}${at.toISOString()} ${text.replaceAll('\n', ' ')}\n`;
    await appendFile(path, (await endsWithinLine(path)) ? `\n${line}` : line, { mode: 0o600 });
  }
}

async function readLast(file: FileHandle, size: number, linesMax: number): Promise<LogChunk> {
  const from = Math.max(0, size - READ_BYTES_MAX);
  const bytes = await readBytes(file, from, size);
  const start = from === 0 ? 0 : bytes.indexOf(0x0a) + 1;
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = linesOf(bytes.subarray(start, Math.max(start, end)));
  return { lines: lines.slice(-linesMax).map(toEntry), cursor: formatCursor(from + Math.max(start, end)) };
}

async function readAfter(file: FileHandle, size: number, from: number, linesMax: number): Promise<LogChunk> {
  const bytes = await readBytes(file, from, Math.min(size, from + READ_BYTES_MAX));
  const hole = leadingZeros(bytes);
  if (hole === bytes.length && hole > 0) return skipHole(file, size, from + hole, linesMax);
  const kept = bytes.subarray(hole);
  const end = endOfLines(kept, linesMax);
  return { lines: linesOf(kept.subarray(0, end)).map(toEntry), cursor: formatCursor(from + hole + end) };
}

/** The cursor's lines were given back: goes on with the oldest that are kept, searching by halves. */
async function skipHole(file: FileHandle, size: number, from: number, linesMax: number): Promise<LogChunk> {
  let low = from;
  let high = size;
  while (high - low > READ_BYTES_MAX / 2) {
    const middle = low + Math.floor((high - low) / 2);
    const probe = await readBytes(file, middle, Math.min(size, middle + 4096));
    if (leadingZeros(probe) === probe.length) low = middle;
    else high = middle;
  }
  return low >= size ? { lines: [], cursor: formatCursor(size) } : readAfter(file, size, low, linesMax);
}

/** Length of the first `linesMax` whole lines. A line longer than a read counts as whole: nothing gets stuck. */
function endOfLines(bytes: Buffer, linesMax: number): number {
  let end = 0;
  for (let count = 0; count < linesMax; count++) {
    const newline = bytes.indexOf(0x0a, end);
    if (newline < 0) break;
    end = newline + 1;
  }
  return end === 0 && bytes.length >= READ_BYTES_MAX ? bytes.length : end;
}

function linesOf(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    lines.push(...piecesOf(bytes.subarray(start, end)));
    start = end + 1;
  }
  return lines;
}

/** A line, or what is left of two where something between was given back. */
function piecesOf(line: Buffer): string[] {
  const text = (from: number, to: number) =>
    line.toString('utf8', from, Math.min(to, from + LINE_BYTES_MAX)).replace(/\r$/, '');
  const hole = line.indexOf(HOLE);
  if (hole < 0) return [text(0, line.length)];
  const after = line.lastIndexOf(0) + 1;
  return [text(0, hole), text(after, line.length)].filter((piece) => piece !== '');
}

function toEntry(line: string): LogEntry {
  if (!line.startsWith(noteMark)) return { stream: 'output', time: null, text: line.replaceAll('\0', '') };
  const [time = '', ...words] = line.slice(noteMark.length).split(' ');
  return { stream: 'alto', time, text: words.join(' ') };
}

function leadingZeros(bytes: Buffer): number {
  let count = 0;
  while (count < bytes.length && bytes[count] === 0) count++;
  return count;
}

/** A byte offset, short. */
function formatCursor(offset: number): string {
  return offset.toString(36);
}

/** A cursor beyond the end is of a file that was cut: its rest is read from the beginning. */
function parseCursor(cursor: string, size: number): number {
  const offset = Number.parseInt(cursor, 36);
  return Number.isSafeInteger(offset) && offset >= 0 && offset <= size ? offset : 0;
}

async function readBytes(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const buffer = Buffer.alloc(Math.max(0, to - from));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
  return buffer.subarray(0, bytesRead);
}

async function openQuietly(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch {
    return undefined; // nothing written yet, or forgotten
  }
}

async function endsWithinLine(path: string): Promise<boolean> {
  const file = await openQuietly(path);
  if (!file) return false;
  try {
    const { size } = await stat(path);
    const last = await readBytes(file, Math.max(0, size - 1), size);
    return last.length > 0 && last[0] !== 0x0a;
  } finally {
    await file.close();
  }
}
