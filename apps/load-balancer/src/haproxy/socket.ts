/** The thin executor: commands over a unix socket of HAProxy, bounded in time and size. */
import { createConnection } from 'node:net';

const timeoutMs = 5_000;
const answerBytesMax = 16 * 1024 * 1024;
/** HAProxy reads a line of commands into one buffer of 16 KiB. */
const lineBytesMax = 8 * 1024;

/** HAProxy has room for ten at a time, of all who ask, and refuses others at once. */
const connectionsMax = 3;
/** Path → how many are connected, and who waits for one of them to be done. */
const lines = new Map<string, { connected: number; readonly waiting: (() => void)[] }>();

/** HAProxy does not answer on the socket. */
export class SocketError extends Error {
  override readonly name = 'SocketError';

  constructor(
    readonly path: string,
    /** Nobody listens there: no HAProxy runs with this socket. */
    readonly absent: boolean,
    cause: Error,
  ) {
    super(`HAProxy does not answer on ${path}: ${cause.message}`, { cause });
  }
}

/** Sends one command and reads the whole answer; a few at a time, the others in the order they came. @throws SocketError */
export async function ask(path: string, command: string): Promise<string> {
  await turn(path);
  try {
    return await exchange(path, command);
  } finally {
    done(path);
  }
}

async function turn(path: string): Promise<void> {
  const line = lines.get(path) ?? { connected: 0, waiting: [] };
  lines.set(path, line);
  if (line.connected === connectionsMax) await new Promise<void>((resolve) => line.waiting.push(resolve));
  else line.connected++;
}

/** Whoever waits longest takes the place over. */
function done(path: string): void {
  const line = lines.get(path)!;
  const next = line.waiting.shift();
  if (next !== undefined) return next();
  line.connected--;
  if (line.connected === 0) lines.delete(path);
}

function exchange(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const socket = createConnection({ path });
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once('connect', () => socket.end(`${command}\n`));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > answerBytesMax) socket.destroy(new Error(`the answer is longer than ${answerBytesMax} bytes`));
    });
    socket.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      reject(new SocketError(path, error.code === 'ENOENT' || error.code === 'ECONNREFUSED', error));
    });
    socket.once('close', () => clearTimeout(timer));
  });
}

/** Sends commands that answer nothing of interest, many to a line. @returns what HAProxy said, for the log */
export async function tell(path: string, commands: readonly string[]): Promise<string> {
  const said: string[] = [];
  for (const line of toLines(commands)) said.push((await ask(path, line)).trim());
  return said.filter((text) => text !== '').join('\n');
}

function toLines(commands: readonly string[]): string[] {
  const lines: string[] = [];
  let line = '';
  for (const command of commands) {
    if (line !== '' && line.length + command.length > lineBytesMax) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? command : `${line};${command}`;
  }
  return line === '' ? lines : [...lines, line];
}
