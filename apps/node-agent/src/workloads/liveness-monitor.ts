import type { CheckReadiness } from './readiness';
import type { Workload } from './workload';

/**
 * Judges whether a run that was ready once still works, by checks of its own rhythm. It has one verdict for each run:
 * one that was found dead stays so.
 */
export class LivenessMonitor {
  private run = 0;
  private failures = 0;
  private verdict: string | null = null;
  private dueAtMs = 0;
  private checking: Promise<void> | undefined;

  /** @param uptimeMs goes on evenly, also when the machine's clock is set */
  constructor(
    private readonly uptimeMs: () => number,
    private readonly check: CheckReadiness,
  ) {}

  /** Why the run must be replaced, in words; null while it works as far as is known. */
  problemOf(run: number): string | null {
    if (run !== this.run) {
      this.run = run;
      this.failures = 0;
      this.verdict = null;
      this.dueAtMs = 0;
    }
    return this.verdict;
  }

  /** Begins a check when one is due. `changed` is called when the run is found dead. */
  poll(workload: Workload, changed: () => void): void {
    const { liveness } = workload;
    if (!liveness || this.verdict !== null || this.checking || this.uptimeMs() < this.dueAtMs) return;
    const run = this.run;
    const { url, timeoutMs } = liveness;
    this.checking = this.check({ ...workload, readiness: { kind: 'http', url, timeoutMs } }).then((problem) => {
      this.checking = undefined;
      if (run !== this.run) return;
      this.dueAtMs = this.uptimeMs() + liveness.intervalMs;
      this.failures = problem === null ? 0 : this.failures + 1;
      if (problem === null || this.failures < liveness.failuresMax) return;
      this.verdict = `Liveness failed ${times(this.failures)}: ${problem}`;
      changed();
    });
  }

  /** Resolves when no check is under way. */
  async settled(): Promise<void> {
    await this.checking;
  }
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times in a row`;
}
