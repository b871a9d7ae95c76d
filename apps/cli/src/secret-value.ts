/** Reads a value that must not be seen: not on the screen, not in the shell's history, not in the list of processes. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { secretValueBytesMax } from '@alto/contracts';
import { CommandError, exitCodes } from './failure';

export interface SecretInput extends NodeJS.ReadableStream {
  isTTY?: boolean;
}

/** From a terminal it is asked for without an echo; else all of the input is read, without the newline that ends it. */
export async function readSecretValue(
  name: string,
  input: SecretInput,
  prompt: (text: string) => unknown,
): Promise<string> {
  const value = input.isTTY === true ? await ask(name, input, prompt) : await readAll(input);
  if (value !== '') return value;
  throw new CommandError(
    `There is no value for ${name}.`,
    `Give it on standard input, e.g. \`alto secrets set ${name} < file\`, or type it when asked.`,
    exitCodes.usage,
  );
}

function ask(name: string, input: SecretInput, prompt: (text: string) => unknown): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // The line editor echoes to its output: this one keeps what it is given to itself.
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: silence, terminal: true, historySize: 0 });
  prompt(`Value of ${name} (not shown): `);
  lines.once('line', (line) => {
    resolve(line);
    lines.close();
  });
  lines.once('SIGINT', () => {
    reject(new CommandError('Nothing was set.', 'Run the command again to set it.', exitCodes.interrupted));
    lines.close();
  });
  lines.once('close', () => {
    prompt('\n');
    resolve('');
  });
  return promise;
}

async function readAll(input: SecretInput): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const part = Buffer.from(chunk);
    parts.push(part);
    bytes += part.length;
    // One more for the newline, of two characters on some machines.
    if (bytes > secretValueBytesMax + 2) throw tooLarge();
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

function tooLarge(): CommandError {
  return new CommandError(
    `The value is larger than ${secretValueBytesMax} bytes.`,
    'Keep large content in a file of the bundle, and its key as a secret.',
    exitCodes.usage,
  );
}
