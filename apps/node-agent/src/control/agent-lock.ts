/** One agent per data directory: two would start everything twice. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { identityOf, isAlive, parseIdentity, type ProcessIdentity } from '../runtime/process/process-table';

/** Exit code of an agent that finds another one at work (EX_TEMPFAIL of sysexits.h). */
export const LOCKED_EXIT_CODE = 75;

export class AgentLockedError extends Error {
  override readonly name = 'AgentLockedError';

  constructor(readonly holder: ProcessIdentity) {
    super(`An agent with pid ${holder.pid} already runs Alto in this data directory. Stop it with \`alto down\`.`);
  }
}

export class AgentLock {
  private constructor(private readonly path: string) {}

  /** @throws AgentLockedError while its holder lives. The lock of one that was killed is taken over. */
  static take(path: string): AgentLock {
    const own = `${path}.${process.pid}`;
    const me = identityOf(process.pid);
    writeFileSync(own, `${me?.pid} ${me?.started} ${me?.boot}\n`, { mode: 0o600 });
    try {
      while (!linked(own, path)) removeStale(path, `${own}.stale`);
    } finally {
      rmSync(own, { force: true });
    }
    return new AgentLock(path);
  }

  release(): void {
    rmSync(this.path, { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Renaming gives the file to one taker alone; one that has moved a living holder's lock puts it back. */
function removeStale(path: string, aside: string): void {
  const holder = holderIn(path);
  if (holder && isAlive(holder)) throw new AgentLockedError(holder);
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else has removed it
  }
  const moved = holderIn(aside);
  if (moved && isAlive(moved)) linked(aside, path);
  rmSync(aside, { force: true });
}

function holderIn(path: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
