/** Keeps the process that bounds the logs running. It outlives the agent, as the workloads do. */
import { spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, isAlive, parseIdentity, type ProcessIdentity } from './process-table';

export class LogGuard {
  private readonly record: string;

  constructor(
    private readonly script: string,
    private readonly folder: string,
    private readonly bytesMax: number,
    private readonly everyMs: number,
  ) {
    this.record = join(folder, 'log-guard');
  }

  /** Starts the guard unless it runs. */
  ensure(): void {
    const running = this.running();
    if (running && isAlive(running)) return;
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
    writeFileSync(`${this.record}.new`, `${identity.pid} ${identity.started} ${identity.boot}\n`);
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
    try {
      return parseIdentity(readFileSync(this.record, 'utf8'));
    } catch {
      return undefined;
    }
  }
}
