/** The commands in the documents, as they stand there, against a real Alto: a document that lies fails here. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Alto, startAlto } from '@alto/testing';

const root = fileURLToPath(new URL('../..', import.meta.url));
const runbooks = join('docs', 'runbooks');
const documents = ['README.md', ...readdirSync(join(root, runbooks)).map((name) => join(runbooks, name))];

/** A block of commands and what each printed; the reader types what follows `$ `. */
interface Session {
  readonly document: string;
  readonly commands: { readonly typed: string; readonly printed: string }[];
}

function sessionsOf(document: string): Session[] {
  const text = readFileSync(join(root, document), 'utf8');
  return Array.from(text.matchAll(/```console\n([\s\S]*?)```/g), ([, block = '']) => ({
    document,
    commands: block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [typed = '', ...printed] = part.split('\n');
        return { typed, printed: printed.join('\n').trim() };
      }),
  }));
}

/** What differs from run to run: ids, numbers, times, and the width of columns. */
function shapeOf(text: string): string {
  return text
    .replaceAll(/(ins|msg)_[0-9a-z]{26}/g, '<id>')
    .replaceAll(/\b[0-9a-f]{16}\b/g, '<key>')
    .replaceAll(/^hello\.\S+ \| /gm, 'hello.<tail> | ')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/\d+(\.\d+)?/g, '<n>')
    .replaceAll(/<n> (s|min|h|d)\b/g, '<age>')
    .replaceAll(/ +/g, ' ')
    .trim();
}

describe('every command in a document works as it stands there', () => {
  let alto: Alto;
  const sessions = documents.flatMap(sessionsOf);

  beforeAll(async () => {
    alto = await startAlto();
    await alto.command('deploy', join(root, 'examples', 'hello'), '--host', '*');
  }, 300_000);

  afterAll(async () => {
    await alto?.stop();
  }, 300_000);

  it('finds the documents and their commands', () => {
    expect(sessions.length).toBeGreaterThan(8);
    expect(sessions.every(({ commands }) => commands.length > 0)).toBe(true);
  });

  /** One shell for a session, as the reader has one: a variable set in one line is there in the next. */
  const run = async ({ commands }: Session, session: number): Promise<string[]> => {
    const separator = `--- end of command of session ${session} ---`;
    const script = commands.map(({ typed }) => `${onPortsOf(alto, typed)}\necho '${separator}'`).join('\n');
    const { stdout } = await promisify(execFile)('sh', ['-euc', script], {
      cwd: root,
      env: alto.environment,
      timeout: 300_000,
    });
    return stdout.split(`${separator}\n`);
  };

  it.each(
    sessions.map((session, index) => [session.document, session.commands[0]?.typed ?? '', session, index] as const),
  )(
    '%s: %s',
    async (_document, _typed, session, index) => {
      // A session before may have ended with `./alto down`.
      await alto.status().catch(() => alto.start());
      const outputs = await run(session, index);
      session.commands.forEach(({ printed }, position) => {
        if (printed === '') return;
        const lines = (text: string) => shapeOf(text).split('\n').sort();
        expect(lines(outputs[position] ?? '')).toEqual(lines(printed));
      });
    },
    300_000,
  );
});

function onPortsOf(alto: Alto, typed: string): string {
  return typed.replaceAll('http://127.0.0.1:4000', alto.apiUrl).replaceAll('http://127.0.0.1:8080', alto.appsUrl);
}
