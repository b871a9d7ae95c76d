import type { CheckReadiness } from './readiness';
import type { Health } from './workload.state';
import type { Workload } from './workload';

/** A young workload is asked often at first, then every second. */
const STARTING_EVERY_MS = { first: 100, max: 1_000 };
const READY_EVERY_MS = 5_000;
/** Failed checks in a row that make a ready workload unready. */
const FAILURES_TO_UNREADY = 3;

/** Knows the health of one run, by checks of its own rhythm. */
export class HealthMonitor {
  private run = 0;
  private state: Health = { state: 'unknown', reason: null };
  /** Whether it counts as ready until proved otherwise. */
  private trusted = false;
  private failures = 0;
  private checks = 0;
  private dueAtMs = 0;
  private checking: Promise<void> | undefined;

  /** @param uptimeMs goes on evenly, also when the machine's clock is set */
  constructor(
    private readonly uptimeMs: () => number,
    private readonly check: CheckReadiness,
  ) {}

  /** @param wasReady the run was ready when an agent last looked: its readiness is lost by three failures only. */
  healthOf(run: number, wasReady: boolean): Health {
    if (run !== this.run) this.reset(run, wasReady);
    return this.state;
  }

  /** Begins a check when one is due. `changed` is called when it has changed the health. */
  poll(workload: Workload, changed: () => void): void {
    if (this.checking || this.uptimeMs() < this.dueAtMs) return;
    const run = this.run;
    this.checking = this.check(workload).then((problem) => {
      this.checking = undefined;
      if (run !== this.run) return;
      const before = this.state;
      this.take(problem);
      if (before.state !== this.state.state || before.reason !== this.state.reason) changed();
    });
  }

  /** Resolves when no check is under way. */
  async settled(): Promise<void> {
    await this.checking;
  }

  private reset(run: number, wasReady: boolean): void {
    this.run = run;
    this.state = { state: 'unknown', reason: null };
    this.trusted = wasReady;
    this.failures = 0;
    this.checks = 0;
    this.dueAtMs = 0;
  }

  private take(problem: string | null): void {
    this.checks++;
    if (problem === null) {
      this.failures = 0;
      this.trusted = true;
      this.state = { state: 'ready', reason: null };
    } else if (++this.failures >= FAILURES_TO_UNREADY || !this.trusted) {
      this.trusted = false;
      this.state = { state: 'failing', reason: problem };
    }
    const youngMs = Math.min(STARTING_EVERY_MS.max, STARTING_EVERY_MS.first * 2 ** Math.min(this.checks, 10));
    this.dueAtMs = this.uptimeMs() + (this.trusted ? READY_EVERY_MS : youngMs);
  }
}
