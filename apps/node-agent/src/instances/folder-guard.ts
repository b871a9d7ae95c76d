/** Ends instances whose working folder outgrows its limit. Measuring takes a small share of the time, however large they are. */
import type { Log } from '@alto/platform';
import type { WorkloadRuntime } from '../runtime/runtime';
import { findExcess, type FolderLimits } from './folder-size';

/** Pause between two rounds: at least so long, and so many times as long as the last one took. */
const PAUSE_MS = 2_000;
const PAUSE_TIMES = 10;

export interface FolderGuardOptions {
  runtime: Pick<WorkloadRuntime, 'kill'>;
  /** Of the instances that run now. */
  folders: () => readonly { id: string; folder: string }[];
  limits: FolderLimits;
  log: Log;
}

export class FolderGuard {
  constructor(private readonly options: FolderGuardOptions) {}

  /** Goes on as long as the process; keeps it from ending no longer. */
  start(): void {
    this.after(PAUSE_MS);
  }

  /** One round over all instances. The cause stands in the status of one that is killed. */
  async look(): Promise<void> {
    const { runtime, folders, limits, log } = this.options;
    for (const { id, folder } of folders()) {
      const excess = await findExcess(folder, limits);
      if (excess === null) continue;
      log.warn('Killing an instance', { instance: id, reason: excess });
      await runtime.kill(id, excess);
    }
  }

  private after(pauseMs: number): void {
    setTimeout(() => void this.round(), pauseMs).unref();
  }

  private async round(): Promise<void> {
    const startedAtMs = performance.now();
    await this.look().catch((error: unknown) =>
      this.options.log.error('Working folders could not be measured', { error }),
    );
    this.after(Math.max(PAUSE_MS, (performance.now() - startedAtMs) * PAUSE_TIMES));
  }
}
