/**
 * The files of one run, `workloads/<id>/<run>/`, as the shim and the agent share them (README.md, "Shim protocol").
 * Reading never fails on a missing file: its absence means something. A file counts once it ends with a newline.
 */
import { chownSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { parseIdentity, type ProcessIdentity } from './process-table';
import type { Exit, RunLimits } from '../runtime';
import { RunGroup } from './cgroups/run-group';
import { SHIM_PROTOCOL } from './shim';

const unknownExit: Exit = { code: null, signal: null };

export class RunFolder {
  constructor(
    readonly path: string,
    readonly run: number,
  ) {}

  /** Makes the folder, which puts the run on record. The shim writes into it as the workload's user. */
  create(user: { uid: number; gid: number } | undefined): void {
    const partial = `${this.path}.new`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { mode: 0o700 });
    writeFileSync(join(partial, 'protocol'), `${SHIM_PROTOCOL}\n`);
    if (user) chownSync(partial, user.uid, user.gid);
    renameSync(partial, this.path);
  }

  get shim(): ProcessIdentity | undefined {
    return this.identity('shim');
  }

  get main(): ProcessIdentity | undefined {
    return this.identity('pid');
  }

  /** The app itself, where `main` is the sandbox around it. */
  get app(): ProcessIdentity | undefined {
    return this.identity('app');
  }

  set app(identity: ProcessIdentity | undefined) {
    if (identity === undefined) return;
    const { pid, started, boot } = identity;
    this.write('app', `${pid} ${started} ${boot}`);
  }

  /** Whether the command is run in a sandbox. */
  get confined(): boolean {
    return this.read('confined') !== undefined;
  }

  set confined(confined: boolean) {
    if (confined) this.write('confined', 'yes');
  }

  /** Where the sandbox says what it is. */
  get sandboxInfoPath(): string {
    return join(this.path, 'sandbox');
  }

  get startedAtMs(): number {
    return this.modifiedAtMs('pid');
  }

  /** Undefined while the command runs, and for ever when its shim was killed before it. */
  get exit(): Exit | undefined {
    const text = this.read('exit');
    if (text === undefined) return undefined;
    const cause = this.read('cause')?.trim();
    return { ...parseExit(text), ...(cause !== undefined && { cause }) };
  }

  /** Why it ended, beyond what its exit code says. */
  set cause(words: string) {
    this.write('cause', words);
  }

  /** What it was given; undefined for none. */
  get limits(): RunLimits | undefined {
    const text = this.read('limits');
    return text === undefined ? undefined : (JSON.parse(text) as RunLimits);
  }

  set limits(limits: RunLimits | undefined) {
    if (limits !== undefined) this.write('limits', JSON.stringify(limits));
  }

  get endedAtMs(): number {
    return this.modifiedAtMs('exit');
  }

  /** Ends a run that never came to life. False when its process was faster: then it is alive, or was. */
  giveUp(): boolean {
    try {
      writeFileSync(join(this.path, 'claimed'), 'agent\n', { flag: 'wx' });
    } catch {
      return false;
    }
    this.endWith(unknownExit);
    return true;
  }

  /** Writes down the end in place of a shim that is gone. */
  endWith(exit: Exit): void {
    this.write('exit', exit.code === null ? 'unknown' : String(exit.code));
  }

  /** How often its shim has started the command again. */
  get revivals(): number {
    return Number(this.read('revivals') ?? 0);
  }

  get group(): RunGroup | undefined {
    const record = this.read('cgroup');
    return record === undefined ? undefined : RunGroup.parse(record);
  }

  set group(group: RunGroup | undefined) {
    if (group !== undefined) this.write('cgroup', group.record);
  }

  get descendants(): ProcessIdentity[] {
    const lines = this.read('descendants')?.split('\n') ?? [];
    return lines.map(parseIdentity).filter((identity) => identity !== undefined);
  }

  set descendants(identities: readonly ProcessIdentity[]) {
    this.write('descendants', identities.map(({ pid, started, boot }) => `${pid} ${started} ${boot}`).join('\n'));
  }

  private identity(name: string): ProcessIdentity | undefined {
    const text = this.read(name);
    return text === undefined ? undefined : parseIdentity(text);
  }

  private read(name: string): string | undefined {
    try {
      const text = readFileSync(join(this.path, name), 'utf8');
      return text.endsWith('\n') ? text : undefined;
    } catch {
      return undefined;
    }
  }

  private write(name: string, text: string): void {
    const path = join(this.path, name);
    writeFileSync(`${path}.agent`, `${text}\n`);
    renameSync(`${path}.agent`, path);
  }

  private modifiedAtMs(name: string): number {
    const found = statSync(join(this.path, name), { throwIfNoEntry: false });
    return Math.trunc(found?.mtimeMs ?? Date.now());
  }
}

/** The runs of a workload that are on record, oldest first. */
export function runsIn(workloadFolder: string): RunFolder[] {
  return namesIn(workloadFolder)
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
    .map((run) => new RunFolder(join(workloadFolder, String(run)), run));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** As a shell counts: 128 + n is the end by signal n. */
export function parseExit(text: string): Exit {
  const status = Number.parseInt(text, 10);
  if (!Number.isInteger(status)) return unknownExit;
  if (status <= 128) return { code: status, signal: null };
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return signal === undefined ? { code: status, signal: null } : { code: null, signal };
}
