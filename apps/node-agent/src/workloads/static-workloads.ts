/** Alto's own processes: which slot each runs in, how one is replaced without a gap, and in which order all end. */
import { AltoError } from '@alto/contracts';
import type { Log } from '@alto/platform';
import type { AgentStateStore } from '../state/agent-state';
import type { Supervisor, WorkloadStatus } from './supervisor';
import { slotId, workloadOfSlot, type StaticManifest, type StaticWorkload, type Workload } from './workload';

/** How long a new run may take to get ready before the old one is kept. */
const READY_WITHIN_MS = 120_000;
/** Beyond the grace, until a process that was killed is gone. */
const GONE_WITHIN_MS = 30_000;

/** Services end while what they stand on still serves; the proxy delivers their last answers. */
const STOP_STAGES: readonly (readonly Workload['kind'][])[] = [
  ['instance'],
  ['service', 'task'],
  ['proxy'],
  ['bus'],
  ['database'],
];

export type Report = (message: string) => void;

export class StaticWorkloads {
  private manifest: StaticManifest = { workloads: [] };
  private readonly replacing = new Set<string>();

  constructor(
    private readonly supervisor: Supervisor,
    private readonly state: Pick<AgentStateStore, 'current' | 'commit'>,
    private readonly log: Log,
    private readonly readyWithinMs: number = READY_WITHIN_MS,
  ) {}

  /** What is to run from now on. What runs already goes on, from whatever specification it was started. */
  async apply(manifest: StaticManifest): Promise<void> {
    this.manifest = manifest;
    await this.state.commit((state) => {
      for (const workload of manifest.workloads)
        state.slots[workload.id] = slotsInUse(workload, state.slots[workload.id]);
    });
    for (const workload of manifest.workloads) {
      for (const slot of this.slotsOf(workload)) this.supervisor.want(workloadOfSlot(workload, slot), 'running');
    }
  }

  has(name: string): boolean {
    return this.manifest.workloads.some(({ id }) => id === name);
  }

  /** Every slot in use is ready, or has run to its end. */
  get ready(): boolean {
    const { workloads } = this.manifest;
    return (
      workloads.length > 0 &&
      workloads.every((workload) => this.slotsOf(workload).every((slot) => this.isUp(workload, slot)))
    );
  }

  /**
   * Replaces the runs of a workload one by one. With a spare slot the old run ends when the new one is ready, and is
   * kept when it does not get ready; without one there is a gap.
   * @throws AltoError `not_found`, or `conflict` while it is being restarted already
   */
  async restart(name: string, report: Report): Promise<void> {
    const workload = this.manifest.workloads.find(({ id }) => id === name);
    if (!workload) throw new AltoError('not_found', `This machine runs no service ${name}.`);
    if (this.replacing.has(name)) throw new AltoError('conflict', `${name} is being restarted already.`);
    this.replacing.add(name);
    try {
      for (const slot of this.slotsOf(workload)) await this.replace(workload, slot, report);
    } finally {
      this.replacing.delete(name);
    }
  }

  /** Ends everything that runs, users' instances first, and resolves when it is gone. */
  async stopAll(report: Report): Promise<void> {
    for (const kinds of STOP_STAGES) {
      const stage = this.supervisor.workloads().filter(({ kind }) => kinds.includes(kind));
      for (const workload of stage) this.supervisor.want(workload, 'stopped');
      await Promise.all(stage.map((workload) => this.awaitStop(workload, report)));
    }
  }

  private async replace(workload: StaticWorkload, slot: number, report: Report): Promise<void> {
    const spare = workload.slots.findIndex((_, index) => !this.slotsOf(workload).includes(index));
    const old = workloadOfSlot(workload, slot);
    if (spare < 0 || workload.lock !== undefined) {
      report(`Stopping ${old.id}`);
      this.supervisor.want(old, 'stopped');
      await this.untilGone(old);
      this.supervisor.want(old, 'running');
      await this.untilReady(old.id);
      report(`${old.id} is ready again`);
      return;
    }
    const next = workloadOfSlot(workload, spare);
    report(`Starting ${next.id} beside ${old.id}`);
    this.supervisor.want(next, 'running');
    await this.readyOrUndone(next);
    await this.state.commit((state) => {
      state.slots[workload.id] = this.slotsOf(workload).map((used) => (used === slot ? spare : used));
    });
    report(`${next.id} is ready; draining ${old.id}`);
    this.supervisor.want(old, 'stopped');
    await this.untilGone(old);
    this.supervisor.drop(old.id);
    report(`${old.id} is gone`);
  }

  private async readyOrUndone(next: Workload): Promise<void> {
    try {
      await this.untilReady(next.id);
    } catch (error) {
      this.log.warn('A replacement did not get ready and is taken back', { workload: next.id, error });
      this.supervisor.want(next, 'stopped');
      await this.untilGone(next);
      this.supervisor.drop(next.id);
      throw error;
    }
  }

  private async untilReady(id: string): Promise<void> {
    const status = await this.supervisor.until(id, isUp, this.readyWithinMs);
    if (isUp(status)) return;
    throw new AltoError('unprocessable', {
      message: `${id} did not get ready within ${this.readyWithinMs / 1000} s: ${status?.reason ?? 'it is not known'}`,
      nextStep: `Read its log: alto logs ${id}`,
    });
  }

  private async untilGone({ id, stop }: Workload): Promise<void> {
    const status = await this.supervisor.until(id, isGone, stop.graceMs + GONE_WITHIN_MS);
    if (!isGone(status)) throw new AltoError('internal', `${id} could not be ended: ${status?.reason}`);
  }

  private async awaitStop(workload: Workload, report: Report): Promise<void> {
    if (isGone(this.supervisor.status(workload.id)) && this.supervisor.status(workload.id)?.run === 0) return;
    await this.untilGone(workload);
    report(`Stopped ${workload.name}`);
  }

  private isUp(workload: StaticWorkload, slot: number): boolean {
    return isUp(this.supervisor.status(slotId(workload.id, slot)));
  }

  private slotsOf(workload: StaticWorkload): readonly number[] {
    return this.state.current.slots[workload.id] ?? [];
  }
}

/** Slots used before, as far as they still exist; then the first free ones up to the number of instances. */
function slotsInUse(workload: StaticWorkload, before: readonly number[] = []): number[] {
  const kept = before.filter((slot) => slot < workload.slots.length);
  const free = workload.slots.map((_, slot) => slot).filter((slot) => !kept.includes(slot));
  return [...kept, ...free].slice(0, workload.instances);
}

function isUp(status: WorkloadStatus | undefined): boolean {
  return status?.want === 'running' && (status.phase === 'ready' || status.phase === 'completed');
}

function isGone(status: WorkloadStatus | undefined): boolean {
  return status === undefined || (status.want === 'stopped' && status.phase === 'exited');
}
