/** Keeps the process that bounds the logs running. It outlives the agent, as the workloads do. */
import { spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, isAlive, parseIdentity, type ProcessIdentity } from './process-table';

export class LogGuard {
  private readonly record: string;
  /** A guard with other ones, as an older agent started it, is replaced. */
  private readonly parameters: string;

  constructor(
    private readonly script: string,
    private readonly folder: string,
    private readonly bytesMax: number,
    private readonly everyMs: number,
  ) {
    this.record = join(folder, 'log-guard');
    this.parameters = [script, bytesMax, everyMs].join(',');
  }

  /** Starts the guard unless it runs. */
  ensure(): void {
    const running = this.running();
    if (running && isAlive(running) && this.recorded()?.trim().endsWith(` ${this.parameters}`)) return;
    this.end();
    const seconds = String(this.everyMs / 1000);
    const child = spawn('/bin/sh', [this.script, this.folder, String(this.bytesMax), seconds], {
      stdio: 'ignore',
      detached: true,
      env: { PATH: '/usr/bin:/bin' },
    });
    child.on('error', () => undefined); // tried again at the next `ensure`
    child.unref();
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (!identity) return;
    writeFileSync(`${this.record}.new`, `${identity.pid} ${identity.started} ${identity.boot} ${this.parameters}\n`);
    renameSync(`${this.record}.new`, this.record);
  }

  /** Ends the guard with what it is waiting for: the process group is its own. */
  end(): void {
    const running = this.running();
    rmSync(this.record, { force: true });
    if (!running || !isAlive(running)) return;
    try {
      process.kill(-running.pid, 'SIGKILL');
    } catch {
      return; // gone meanwhile
    }
  }

  private running(): ProcessIdentity | undefined {
    return parseIdentity(this.recorded() ?? '');
  }

  /** `pid start boot parameters` */
  private recorded(): string | undefined {
    try {
      return readFileSync(this.record, 'utf8');
    } catch {
      return undefined; // none was started yet
    }
  }
}
