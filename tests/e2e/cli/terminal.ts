/** A person at a terminal: types commands as the documents show them, and reads what is printed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { type Alto, repositoryRoot } from '@alto/testing';

export interface Ended {
  readonly code: number | null;
  /** Standard output. */
  readonly printed: string;
  /** Standard error. */
  readonly complaint: string;
}

export class Terminal {
  private readonly environment: Readonly<Record<string, string>>;
  private readonly open = new Set<ChildProcess>();

  /** @param directory in which commands are typed */
  constructor(
    alto: Alto,
    readonly directory: string,
  ) {
    const { PATH = '', ...environment } = alto.environment;
    this.environment = { ...environment, PATH: `${repositoryRoot}:${PATH}`, LANG: 'C.UTF-8', TERM: 'xterm' };
  }

  /** @param typed as in a shell */
  async type(typed: string): Promise<Ended> {
    const shell = this.spawn(['sh', '-c', typed]);
    const [printed, complaint, code] = await Promise.all([text(shell.stdout!), text(shell.stderr!), ended(shell)]);
    return { code, printed, complaint };
  }

  /** @returns what was printed. @throws Error with what was said where the command fails */
  async typeWell(typed: string): Promise<string> {
    const { code, printed, complaint } = await this.type(typed);
    if (code !== 0) throw new Error(`${typed} ended with ${code}:\n${printed}${complaint}`);
    return printed;
  }

  /** A command that goes on until it is interrupted. */
  follow(typed: string): Following {
    return new Following(this.spawn(['sh', '-c', `exec ${typed}`]));
  }

  /** A shell to press keys in, on a terminal of its own. */
  shell(command: string): Following {
    return new Following(this.spawn(['script', '-qec', command, '/dev/null']));
  }

  /** Ends what is still open. */
  close(): void {
    for (const child of this.open) child.kill('SIGKILL');
  }

  private spawn([program = '', ...args]: readonly string[]): ChildProcess {
    const child = spawn(program, args, { cwd: this.directory, env: this.environment, stdio: 'pipe' });
    this.open.add(child);
    child.once('exit', () => this.open.delete(child));
    return child;
  }
}

export class Following {
  readonly lines: string[] = [];
  private written = '';

  constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => (this.written += chunk.toString('utf8')));
    createInterface({ input: child.stdout! }).on('line', (line) => this.lines.push(line));
  }

  /** All that was printed, without what moves the cursor and paints. */
  get screen(): string {
    return stripVTControlCharacters(this.written);
  }

  press(keys: string): void {
    this.child.stdin?.write(keys);
  }

  /** As Ctrl-C does. @returns the exit code */
  async interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    return await ended(this.child);
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('close', resolve));
}
