/**
 * Makes the cluster what it should be, one instance of compute at a time. Nothing is remembered between two passes
 * but for how long others have been silent and what the clock showed last: whoever takes the lease over goes on from
 * what the database says.
 */
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { Bell, Clock, CONFIG, type Lease, Leases, Log, NatsBus } from '@alto/platform';
import type { ComputeConfig } from '../config';
import { replacedProxies, silentProxies } from '../endpoints/acknowledged';
import { NodesService } from '../nodes/nodes.service';
import { SilenceWatch } from '../nodes/silence';
import { Nudges } from '../nudges';
import { planByPassedTime } from '../placement/passed-time';
import type { AppPlan, Plan } from '../placement/planner';
import type { PlanLimits, Snapshot } from '../placement/snapshot';
import { ClockWatch } from './clock-watch';
import { ClusterPort } from './cluster';

/** How often silence is judged, and the clock looked at. */
const lookEveryMs = 1_000;
/** How often proxies are asked whether requests are still in flight to an instance that drains. */
const askEveryMs = 300;
const failureWaitMs = 500;
/** Plans in a row without a look at who is silent; each is made from what the one before has committed. */
const roundsPerPassMax = 20;
const pruneEveryMs = 3_600_000;

@Injectable()
export class Reconciler implements OnModuleInit, OnModuleDestroy {
  private readonly bell = new Bell();
  /** Also of one without the lease: it may be given that just because the clock was set. */
  private readonly clockWatch = new ClockWatch();
  private looking: NodeJS.Timeout | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: ComputeConfig,
    private readonly leases: Leases,
    private readonly cluster: ClusterPort,
    private readonly nodes: NodesService,
    private readonly nudges: Nudges,
    private readonly bus: NatsBus,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onModuleInit(): void {
    this.nudges.onReconcilerNudge(() => this.bell.ring());
    this.lookAtClock();
    this.looking = setInterval(() => this.lookAtClock(), lookEveryMs).unref();
    this.leases.hold('compute.reconciler', (lease) => this.work(lease));
  }

  onModuleDestroy(): void {
    clearInterval(this.looking);
  }

  private async work(lease: Lease): Promise<void> {
    const watch = new Watch(this.config.ALTO_RECONCILE_EVERY_MS);
    while (!lease.signal.aborted) {
      const waitMs = await this.passSafely(lease, watch);
      if (await this.bell.wait(waitMs, lease.signal)) watch.planAt = 0;
    }
  }

  /** @returns how long to wait before the next pass */
  private async passSafely(lease: Lease, watch: Watch): Promise<number> {
    try {
      return await this.pass(lease, watch);
    } catch (error) {
      if (lease.signal.aborted) return 0;
      watch.planAt = 0;
      const isExpected = error instanceof AltoError && error.code === 'service_unavailable';
      if (!isExpected) this.log.error('Reconciling failed; it is tried again', { error });
      return failureWaitMs;
    }
  }

  private async pass(lease: Lease, watch: Watch): Promise<number> {
    if (await this.judge(lease, watch)) watch.planAt = 0;
    if (await this.recordClock(lease)) watch.planAt = 0;
    const now = performance.now();
    if (now >= watch.pruneAt) {
      await this.cluster.prune(lease);
      watch.pruneAt = now + pruneEveryMs;
    }
    if (now < watch.planAt) return Math.min(lookEveryMs, watch.planAt - now);
    const made = await this.carryOutPlans(lease, watch);
    const waitMs = this.waitOf(made);
    watch.planAt = performance.now() + waitMs;
    if (made?.askProxies === true) this.nudges.proxies(watch.proxies);
    return Math.min(lookEveryMs, waitMs);
  }

  /** Records who has been silent for too long. @returns true when that has changed anything */
  private async judge(lease: Lease, watch: Watch): Promise<boolean> {
    const deaf = this.bus.state !== 'connected';
    const { nodes, ofNodes, ofProxies } = await this.cluster.heartbeats();
    const at = performance.now();
    const silence = watch.ofNodes.look(ofNodes, at, deaf);
    const changed = nodes.filter((node) => this.nodes.judge(node, silence.get(node.id) ?? 0) !== node.state);
    for (const node of changed) {
      await this.cluster.settleNode(
        lease,
        node.id,
        this.nodes.judge(node, silence.get(node.id) ?? 0),
        ofNodes.get(node.id) ?? 0,
      );
    }
    const isNews = await this.judgeProxies(lease, watch, ofProxies, watch.ofProxies.look(ofProxies, at, deaf));
    return changed.length > 0 || isNews;
  }

  /** @returns true when one was struck off, or fell silent, or was heard again */
  private async judgeProxies(
    lease: Lease,
    watch: Watch,
    heartbeats: ReadonlyMap<string, number>,
    silence: ReadonlyMap<string, number>,
  ): Promise<boolean> {
    const { ALTO_PROXY_EXPIRES_AFTER_MS: expiresAfterMs } = this.config;
    const replaced = replacedProxies(silence, expiresAfterMs);
    if (replaced.length > 0)
      await this.cluster.strikeOffProxies(lease, new Map(replaced.map((id) => [id, heartbeats.get(id) ?? 0])));
    watch.proxies = [...heartbeats.keys()].filter((id) => !replaced.includes(id));
    const silent = silentProxies(silence, expiresAfterMs);
    const isNews = silent.join() !== watch.silentProxies.join();
    watch.silentProxies = silent;
    return isNews;
  }

  /** @returns what it shows */
  private lookAtClock(): number {
    const now = this.clock.nowMs();
    this.clockWatch.look(now, performance.now());
    return now;
  }

  /** @returns true when the clock was set, which a snapshot that was read before does not know */
  private async recordClock(lease: Lease): Promise<boolean> {
    const { unrecorded } = this.clockWatch;
    if (unrecorded.length === 0) return false;
    await this.cluster.recordClock(lease, unrecorded);
    this.clockWatch.recorded(unrecorded);
    this.log.warn('The clock was set; what was skipped is held against nobody', { settings: unrecorded });
    return true;
  }

  /** Plans and commits until there is nothing left to do. @returns the last plan; null when the rounds did not suffice */
  private async carryOutPlans(lease: Lease, watch: Watch): Promise<Plan | null> {
    const failed = new Set<string>();
    for (let round = 0; round < roundsPerPassMax && !lease.signal.aborted; round++) {
      const snapshot = watch.seen(await this.cluster.snapshot());
      const now = this.lookAtClock();
      if (await this.recordClock(lease)) continue;
      const made = planByPassedTime(snapshot, this.limits(), now);
      const due = made.apps.filter(({ app }) => !failed.has(app.id));
      if (due.length === 0) return made;
      for (const appPlan of due) if (!(await this.carryOut(lease, appPlan))) failed.add(appPlan.app.id);
    }
    return null;
  }

  /** @returns false when the app cannot be helped in this pass; the others are */
  private async carryOut(lease: Lease, appPlan: AppPlan): Promise<boolean> {
    const { app, start, change, remove } = appPlan;
    try {
      await this.cluster.commit(lease, appPlan);
      const counts = { started: start.length, changed: change.length, removed: remove.length };
      this.log.debug('Carried out a plan', { app: app.id, name: app.name, ...counts });
      return true;
    } catch (error) {
      const code = error instanceof AltoError ? error.code : undefined;
      if (code === 'conflict') return true; // Somebody was quicker: the next round plans from what is true now.
      if (code === 'stale_writer' || code === 'service_unavailable' || lease.signal.aborted) throw error;
      this.log.error('The plan of an app could not be carried out; it is tried again', { app: app.id, error });
      return false;
    }
  }

  private waitOf(made: Plan | null): number {
    if (made === null) return 0;
    const wakeInMs = made.wakeAt === null ? Infinity : Math.max(0, made.wakeAt - this.clock.nowMs());
    return Math.min(this.config.ALTO_RECONCILE_EVERY_MS, wakeInMs, made.askProxies ? askEveryMs : Infinity);
  }

  private limits(): PlanLimits {
    return { drainMs: this.config.ALTO_DRAIN_TIMEOUT_MS, failedHoldMs: this.config.ALTO_FAILED_HOLD_MS };
  }
}

/** What one holder of the lease knows beside the database; times are on the process's monotonic clock. */
class Watch {
  readonly ofNodes = new SilenceWatch();
  readonly ofProxies = new SilenceWatch();
  planAt = 0;
  pruneAt = 0;
  proxies: readonly string[] = [];
  silentProxies: readonly string[] = [];

  constructor(readonly reconcileEveryMs: number) {}

  /** With what the database does not know. */
  seen(snapshot: Snapshot): Snapshot {
    const proxies = snapshot.proxies.map((proxy) => ({ ...proxy, isSilent: this.silentProxies.includes(proxy.id) }));
    return { ...snapshot, proxies };
  }
}
