/** Reads a value that must not be seen: not on the screen, not in the shell's history, not in the list of processes. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { secretValueBytesMax } from '@alto/contracts';
import { CommandError, exitCodes } from './failure';

export interface SecretInput extends NodeJS.ReadableStream {
  isTTY?: boolean;
}

export interface SecretQuestion {
  /** What is asked for, such as `value of TOKEN`. */
  what: string;
  /** A command that takes it from a file. */
  example: string;
  /** What to do with a larger one than can be taken. */
  whenTooLarge?: string;
}

/** From a terminal it is asked for without an echo; else all of the input is read, without the newline that ends it. */
export async function readSecretValue(
  question: SecretQuestion,
  input: SecretInput,
  prompt: (text: string) => unknown,
): Promise<string> {
  const { what, example } = question;
  const value = input.isTTY === true ? await ask(what, input, prompt) : await readAll(question, input);
  if (value !== '') return value;
  throw new CommandError(
    `No ${what} was given.`,
    `Give it on standard input, e.g. \`${example}\`, or type it when asked.`,
    exitCodes.usage,
  );
}

function ask(what: string, input: SecretInput, prompt: (text: string) => unknown): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // The line editor echoes to its output: this one keeps what it is given to itself.
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: silence, terminal: true, historySize: 0 });
  prompt(`${what.charAt(0).toUpperCase()}${what.slice(1)} (not shown): `);
  lines.once('line', (line) => {
    resolve(line);
    lines.close();
  });
  lines.once('SIGINT', () => {
    reject(new CommandError('Nothing was changed.', 'Run the command again to give it.', exitCodes.interrupted));
    lines.close();
  });
  lines.once('close', () => {
    prompt('\n');
    resolve('');
  });
  return promise;
}

async function readAll(question: SecretQuestion, input: SecretInput): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const part = Buffer.from(chunk);
    parts.push(part);
    bytes += part.length;
    // One more for the newline, of two characters on some machines.
    if (bytes > secretValueBytesMax + 2) throw tooLarge(question);
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

function tooLarge({ what, example, whenTooLarge }: SecretQuestion): CommandError {
  return new CommandError(
    `The ${what} is larger than ${secretValueBytesMax} bytes.`,
    whenTooLarge ?? `Give it alone and nothing else: \`${example}\`.`,
    exitCodes.usage,
  );
}
