/**
 * One JSON file, replaced as a whole: whatever happens to the process or the machine, a reader finds the old state or
 * the new one. What was there before is kept beside it, for a disk that loses what it has confirmed.
 */
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

const envelopeSchema = z.object({ version: z.number().int().min(1), sha256: z.string(), state: z.unknown() });

/** Turns the state of one version into that of the next; `migrations[0]` makes version 2 of version 1. */
export type Migration = (state: unknown) => unknown;

export interface StateFileOptions<T> {
  path: string;
  schema: z.ZodType<T>;
  migrations: readonly Migration[];
}

export class StateFile<T> {
  private pending: { state: T; done: PromiseWithResolvers<void> } | undefined;
  private writing: Promise<void> | undefined;

  constructor(private readonly options: StateFileOptions<T>) {}

  /** @returns undefined when there was never a state. @throws StateFileError when none of its copies can be read. */
  load(): T | undefined {
    const { path } = this.options;
    const problems: string[] = [];
    for (const candidate of [path, previousOf(path)]) {
      const text = readQuietly(candidate);
      if (text === undefined) continue;
      try {
        return this.parse(text);
      } catch (error) {
        problems.push(`${candidate}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (problems.length === 0) return undefined;
    throw new StateFileError(problems, path);
  }

  /**
   * Resolves when the state, or a newer one, is on the disk for good. One write is under way at a time;
   * what comes meanwhile is written together.
   */
  save(state: T): Promise<void> {
    this.pending = { state, done: this.pending?.done ?? Promise.withResolvers<void>() };
    const { promise } = this.pending.done;
    this.writing ??= this.writeAll().finally(() => (this.writing = undefined));
    return promise;
  }

  /** Resolves when nothing is left to write. */
  async flush(): Promise<void> {
    await this.writing;
  }

  private async writeAll(): Promise<void> {
    // Callers in the same turn are written together.
    await Promise.resolve();
    while (this.pending) {
      const { state, done } = this.pending;
      this.pending = undefined;
      await this.write(state).then(done.resolve, done.reject);
    }
  }

  private async write(state: T): Promise<void> {
    const { path, migrations } = this.options;
    await writeWhole(path, encode(migrations.length + 1, state), keepPrevious);
  }

  private parse(text: string): T {
    const envelope = envelopeSchema.parse(JSON.parse(text));
    if (envelope.sha256 !== checksum(envelope.state)) throw new Error('its checksum does not match');
    const newest = this.options.migrations.length + 1;
    if (envelope.version > newest) {
      throw new Error(`it is of version ${envelope.version}, and this agent knows ${newest}: start a newer Alto`);
    }
    const pending = this.options.migrations.slice(envelope.version - 1);
    return this.options.schema.parse(pending.reduce((state, migrate) => migrate(state), envelope.state));
  }
}

/** No copy of the state can be read. Going on without would forget which instances and addresses are in use. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';

  constructor(problems: readonly string[], path: string) {
    super(
      `The agent's state cannot be read.\n${problems.map((problem) => `  ${problem}`).join('\n')}\n` +
        `Restore ${path} from a backup. Or move it and ${previousOf(path)} away and start again: ` +
        `what runs is then stopped and started afresh.`,
    );
  }
}

/** Replaces a file that only its owner may read: what is read is the old content or the new, also after a crash. */
export async function writeWhole(
  path: string,
  content: string,
  beforeReplacing: (path: string) => void = () => undefined,
): Promise<void> {
  const partial = `${path}.new`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(partial, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  beforeReplacing(path);
  renameSync(partial, path);
  await syncFolder(dirname(path));
}

/** Makes renames in a folder last beyond a loss of power. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function encode(version: number, state: unknown): string {
  return `${JSON.stringify({ version, sha256: checksum(state), state })}\n`;
}

function checksum(state: unknown): string {
  return createHash('sha256').update(JSON.stringify(state)).digest('hex');
}

function previousOf(path: string): string {
  return `${path}.previous`;
}

/** A second name for the present file; the rename that follows takes the first one from it. */
function keepPrevious(path: string): void {
  rmSync(previousOf(path), { force: true });
  try {
    linkSync(path, previousOf(path));
  } catch {
    return; // the first state of all has none before it
  }
}

function readQuietly(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
