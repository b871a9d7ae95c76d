/** Alto's own processes: which slot each runs in, how one is replaced without a gap, and in which order all end. */
import { AltoError } from '@alto/contracts';
import type { Log } from '@alto/platform';
import type { AgentStateStore } from '../state/agent-state';
import type { Supervisor, WorkloadStatus } from './supervisor';
import { afterDrain, afterSwitch, beginReplacement, nextStep, spareSlot } from './replacement.state';
import { slotId, workloadOfSlot, type StaticManifest, type StaticWorkload, type Workload } from './workload';

/** How long a new run may take to get ready before the old one is kept. */
const READY_WITHIN_MS = 120_000;
/** Ends of a new run before it was ready, after which it is given up earlier. */
const CRASHES_MAX = 3;
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
  private told = false;
  private readonly changing = new Set<string>();

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
        state.slots[workload.id] = slotsInUse(workload, state.slots[workload.id], state.scales[workload.id]);
    });
    for (const workload of manifest.workloads) {
      for (const slot of this.slotsOf(workload)) this.supervisor.want(workloadOfSlot(workload, slot), 'running');
    }
    this.told = true;
  }

  /** What is to run is known, and every slot in use is ready or has run to its end. */
  get ready(): boolean {
    const { workloads } = this.manifest;
    return (
      this.told && workloads.every((workload) => this.slotsOf(workload).every((slot) => this.isUp(workload, slot)))
    );
  }

  /** @throws AltoError `not_found` */
  find(name: string): StaticWorkload {
    const workload = this.manifest.workloads.find(({ id }) => id === name);
    if (!workload) throw new AltoError('not_found', `This machine runs no service ${name}.`);
    return workload;
  }

  /** What is to run, with the releases that were switched to since `apply`. */
  get applied(): StaticManifest {
    return this.manifest;
  }

  /**
   * Replaces the runs of a workload one by one by runs of `target`. With a spare slot the old run ends when the new
   * one is ready, and is kept when it does not get ready; without one there is a gap.
   * @param onSwitch called when a new run is ready, and before the old one is told to stop
   * @throws AltoError `conflict` while it is being replaced or scaled
   */
  async replace(target: StaticWorkload, report: Report, onSwitch: () => Promise<void>): Promise<void> {
    const { id } = target;
    await this.alone(id, async () => {
      const hasSpare = spareSlot(this.slotsOf(target), target.slots.length) !== undefined;
      if (hasSpare && target.lock === undefined) await this.replaceBeside(target, report, onSwitch);
      else await this.replaceInPlace(target, report, onSwitch);
    });
  }

  /**
   * Runs so many instances of a workload from now on, also after a restart of the agent. New ones are kept when all of
   * them get ready, else none is; old ones end only when enough others are there.
   * @throws AltoError `conflict` while it is being replaced or scaled
   */
  async scale(id: string, instances: number, report: Report): Promise<void> {
    const workload = this.find(id);
    await this.alone(id, async () => {
      const before = this.slotsOf(workload);
      const after = slotsInUse(workload, before, instances);
      const [added, removed] = [without(after, before), without(before, after)];
      await this.keepScale(id, after);
      if (added.length > 0) await this.addSlots(workload, { before, added }, report);
      await Promise.all(removed.map((slot) => this.removeSlot(workload, slot, report)));
    });
  }

  /** Ends everything that runs, users' instances first, and resolves when it is gone. */
  async stopAll(report: Report): Promise<void> {
    for (const kinds of STOP_STAGES) {
      const stage = this.supervisor.workloads().filter(({ kind }) => kinds.includes(kind));
      for (const workload of stage) this.supervisor.want(workload, 'stopped');
      await Promise.all(stage.map((workload) => this.awaitStop(workload, report)));
    }
  }

  /** One change of a workload's runs at a time; also one that an agent was killed in comes first. */
  private async alone(id: string, change: () => Promise<void>): Promise<void> {
    if (this.changing.has(id)) throw new AltoError('conflict', `${id} is being replaced or scaled already.`);
    this.changing.add(id);
    try {
      await change();
    } finally {
      this.changing.delete(id);
    }
  }

  private async keepScale(id: string, slots: readonly number[]): Promise<void> {
    await this.state.commit((state) => {
      state.scales[id] = slots.length;
      state.slots[id] = [...slots];
    });
  }

  private async addSlots(
    workload: StaticWorkload,
    { before, added }: { before: readonly number[]; added: readonly number[] },
    report: Report,
  ): Promise<void> {
    const runs = added.map((slot) => workloadOfSlot(workload, slot));
    for (const run of runs) {
      this.supervisor.want(run, 'running');
      report(`Starting ${run.id}`);
    }
    const outcomes = await Promise.allSettled(
      runs.map(async ({ id }) => {
        await this.untilReady(id);
        report(`${id} is ready`);
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failed) return;
    this.log.warn('New instances did not get ready and are taken back', { workload: workload.id });
    await this.keepScale(workload.id, before);
    await Promise.all(added.map((slot) => this.removeSlot(workload, slot, report)));
    throw failed.reason;
  }

  private async removeSlot(workload: StaticWorkload, slot: number, report: Report): Promise<void> {
    const run = workloadOfSlot(workload, slot);
    report(`Draining ${run.id}`);
    await this.drain(run);
    report(`${run.id} is gone`);
  }

  private async replaceInPlace(target: StaticWorkload, report: Report, onSwitch: () => Promise<void>): Promise<void> {
    await this.switchTo(target, onSwitch);
    for (const workload of this.slotsOf(target).map((slot) => workloadOfSlot(target, slot))) {
      report(`Stopping ${workload.id}`);
      this.supervisor.want(workload, 'stopped');
      await this.untilGone(workload);
      this.supervisor.want(workload, 'running');
      await this.untilReady(workload.id);
      report(`${workload.id} is ready again`);
    }
  }

  private async replaceBeside(target: StaticWorkload, report: Report, onSwitch: () => Promise<void>): Promise<void> {
    const { id } = target;
    const wish = { from: this.find(id).release?.version ?? null, to: target.release?.version ?? null };
    const begun = this.state.current.replacements[id];
    const replacement = beginReplacement(wish, this.slotsOf(target), begun);
    if (replacement !== begun) await this.state.commit((state) => (state.replacements[id] = replacement));
    try {
      while (await this.takeStep(target, report, onSwitch));
    } finally {
      await this.state.commit((state) => delete state.replacements[id]);
    }
  }

  /** Nothing is awaited before the supervisor is told: what is resumed must not be taken for an orphan. */
  private async takeStep(target: StaticWorkload, report: Report, onSwitch: () => Promise<void>): Promise<boolean> {
    const replacement = this.state.current.replacements[target.id];
    const step = replacement && nextStep(replacement, this.slotsOf(target), target.slots.length);
    if (!step || step.kind === 'done') return false;
    if (step.kind === 'drain') {
      await this.drain(workloadOfSlot(target, step.slot));
      report(`${slotId(target.id, step.slot)} is gone`);
      await this.state.commit((state) => (state.replacements[target.id] = afterDrain(replacement)));
      return true;
    }
    const next = workloadOfSlot(target, step.slot);
    const old = slotId(target.id, step.replaces);
    const release = replacement.from === replacement.to ? '' : ` (${replacement.to})`;
    this.supervisor.want(next, 'running');
    report(`Starting ${next.id}${release} beside ${old}`);
    await this.readyOrUndone(next);
    await this.state.commit((state) => {
      state.slots[target.id] = this.slotsOf(target).map((slot) => (slot === step.replaces ? step.slot : slot));
      state.replacements[target.id] = afterSwitch(replacement, step.replaces);
    });
    await this.switchTo(target, onSwitch);
    report(`${next.id} is ready; draining ${old}`);
    return true;
  }

  private async switchTo(target: StaticWorkload, onSwitch: () => Promise<void>): Promise<void> {
    const workloads = this.manifest.workloads.map((workload) => (workload.id === target.id ? target : workload));
    this.manifest = { ...this.manifest, workloads };
    await onSwitch();
  }

  private async drain(workload: Workload): Promise<void> {
    this.supervisor.want(workload, 'stopped');
    await this.untilGone(workload);
    this.supervisor.drop(workload.id);
  }

  private async readyOrUndone(next: Workload): Promise<void> {
    try {
      await this.untilReady(next.id);
    } catch (error) {
      this.log.warn('A replacement did not get ready and is taken back', { workload: next.id, error });
      await this.drain(next);
      throw error;
    }
  }

  /** What keeps ending is not waited for to the last. */
  private async untilReady(id: string): Promise<void> {
    const before = this.supervisor.status(id)?.restarts ?? 0;
    const crashes = (status: WorkloadStatus | undefined) => (status?.restarts ?? 0) - before;
    const isDecided = (status: WorkloadStatus | undefined) => isUp(status) || crashes(status) >= CRASHES_MAX;
    const status = await this.supervisor.until(id, isDecided, this.readyWithinMs);
    if (isUp(status)) return;
    const reason = status?.reason ?? 'it is not known';
    const seconds = this.readyWithinMs / 1000;
    const waited = crashes(status) >= CRASHES_MAX ? 'ended as often as it was started' : `did not within ${seconds} s`;
    throw new AltoError('unprocessable', {
      message: `${id} was to get ready and ${waited}: ${reason}`,
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
function slotsInUse(
  workload: StaticWorkload,
  before: readonly number[] = [],
  instances: number = workload.instances,
): number[] {
  const kept = before.filter((slot) => slot < workload.slots.length);
  const free = workload.slots.map((_, slot) => slot).filter((slot) => !kept.includes(slot));
  return [...kept, ...free].slice(0, instances);
}

const without = (slots: readonly number[], others: readonly number[]) => slots.filter((slot) => !others.includes(slot));

function isUp(status: WorkloadStatus | undefined): boolean {
  return status?.want === 'running' && (status.phase === 'ready' || status.phase === 'completed');
}

function isGone(status: WorkloadStatus | undefined): boolean {
  return status === undefined || (status.want === 'stopped' && status.phase === 'exited');
}
