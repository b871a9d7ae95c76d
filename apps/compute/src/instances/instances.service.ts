/** Instances as rows: what agents observe of them and what the reconciler decides for them is written here alone. */
import { Injectable } from '@nestjs/common';
import { AltoError, computeEvents, type Instance, newId, type ObservedInstance } from '@alto/contracts';
import { Clock, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageOfRows } from '../cursors';
import type { InstanceChange, NewInstance } from '../placement/planner';
import type { InstanceView } from '../placement/snapshot';
import { EndedInstancesStore } from './ended-instances.store';
import type { InstanceEntity } from './instance.entity';
import { transition } from './instance.state';
import { InstancesStore } from './instances.store';
import { canonical } from '../revisions/content';

/** What the writer of an app's plan knows beside the plan. */
export interface PlanFacts {
  readonly app: { readonly id: string; readonly name: string; readonly project: string };
  /** Numbers of the revisions that new instances are of, by revision id. */
  readonly revisionNumbers: ReadonlyMap<string, number>;
  /** New generation of each node's set that the plan changes, by node id. */
  readonly setGenerations: ReadonlyMap<string, number>;
  /** Generation in which the change of the app's endpoints is told to proxies; null when there is none. */
  readonly endpointGeneration: number | null;
}

/** For as long as agents keep the logs of what has ended. */
const endedKeptMs = 7 * 24 * 3_600_000;
/** Ended instances of an app whose logs can be read, the newest. */
const endedKeptMax = 100;

@Injectable()
export class InstancesService {
  constructor(
    private readonly store: InstancesStore,
    private readonly ended: EndedInstancesStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
  ) {}

  async list(
    manager: EntityManager,
    app: string,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: Instance[]; nextCursor?: string }> {
    const rows = await this.store.page(manager, app, decodeCursor(cursor, 'string'), limit + 1);
    return pageOfRows(rows, limit, instanceOf, ({ id }) => id);
  }

  async views(manager: EntityManager): Promise<InstanceView[]> {
    const rows = await this.store.all(manager);
    return rows.map(viewOf);
  }

  onNode(manager: EntityManager, node: string): Promise<InstanceEntity[]> {
    return this.store.onNode(manager, node);
  }

  placed(manager: EntityManager, app: string, take: number): Promise<InstanceEntity[]> {
    return this.store.placed(manager, app, take);
  }

  /** The machine of an instance of that app, also after its end for as long as its log may be there; else null. */
  async nodeWithLog(manager: EntityManager, app: string, id: string): Promise<string | null> {
    // In this order: one that ends between the two looks is found by the second.
    const found = (await this.store.placedOne(manager, app, id)) ?? (await this.ended.find(manager, app, id));
    return found?.node ?? null;
  }

  nodeOf(manager: EntityManager, id: string): Promise<string | null> {
    return this.store.nodeOf(manager, id);
  }

  revisionsInUse(manager: EntityManager, app: string): Promise<Set<string>> {
    return this.store.revisionsInUse(manager, app);
  }

  usage(manager: EntityManager, nodes: readonly string[]) {
    return this.store.usage(manager, nodes);
  }

  /**
   * Takes in what the agent of a node says. The caller has locked the node's row.
   * @param seenGeneration newest set that the agent has: what is in it and not in the report, the agent does not have
   * @returns true when anything has changed
   */
  async observe(
    transaction: EntityManager,
    node: string,
    reported: readonly ObservedInstance[],
    seenGeneration: number,
  ): Promise<boolean> {
    const reports = new Map(reported.map((report) => [report.id, report]));
    const known = await this.store.onNode(transaction, node);
    const next = (row: InstanceEntity) => observed(row, reports.get(row.id), seenGeneration, this.clock.now());
    const news = known.filter((row) => next(row) !== null).map(({ id }) => id);
    const locked = await this.store.lockOnNode(transaction, node, news);
    for (const row of locked) {
      const after = next(row);
      if (after !== null) await this.write(transaction, after, after.state !== row.state);
    }
    return locked.length > 0;
  }

  /** Commits what the planner decided for the instances of one app. @throws AltoError conflict when one has changed meanwhile */
  async carryOut(
    transaction: EntityManager,
    plan: {
      readonly start: readonly NewInstance[];
      readonly change: readonly InstanceChange[];
      readonly remove: readonly InstanceView[];
    },
    facts: PlanFacts,
  ): Promise<void> {
    const planned = [...plan.change.map(({ before }) => before), ...plan.remove];
    const locked = await this.store.lock(
      transaction,
      planned.map(({ id }) => id),
    );
    const rows = new Map(locked.map((row) => [row.id, row]));
    if (planned.some(({ id, version }) => rows.get(id)?.version !== version)) throw overtaken();
    for (const change of plan.change) await this.change(transaction, rows.get(change.before.id)!, change, facts);
    for (const { id, state } of plan.remove) {
      if (state !== 'stopped') await this.announceEnd(transaction, rows.get(id)!);
    }
    await this.remove(
      transaction,
      facts.app.id,
      plan.remove.map(({ id }) => rows.get(id)!),
    );
    await this.start(transaction, plan.start, facts);
  }

  /** Ends what is on a node that is deleted: nobody else will say that it has. The caller has locked the node's row. */
  async giveUp(transaction: EntityManager, node: string): Promise<void> {
    const ids = (await this.store.onNode(transaction, node)).map(({ id }) => id);
    const rows = await this.store.lockOnNode(transaction, node, ids);
    for (const row of rows) if (row.state !== 'stopped') await this.announceEnd(transaction, row);
    await this.store.remove(
      transaction,
      rows.map(({ id }) => id),
    );
  }

  /** Forgets ended ones whose logs no agent keeps any more. */
  async prune(transaction: EntityManager): Promise<void> {
    await this.ended.removeBefore(transaction, new Date(this.clock.nowMs() - endedKeptMs));
  }

  /** What is left of an app whose instances are all gone. */
  async forgetEnded(transaction: EntityManager, app: string): Promise<void> {
    await this.ended.removeAllOf(transaction, app);
  }

  /** Their logs outlive them, so where those are is remembered. The caller has locked the app's row. */
  private async remove(transaction: EntityManager, app: string, rows: readonly InstanceEntity[]): Promise<void> {
    await this.store.remove(
      transaction,
      rows.map(({ id }) => id),
    );
    const endedAt = this.clock.now();
    const ended = rows.flatMap(({ id, node }) => (node === null ? [] : [{ id, app, node, endedAt }]));
    if (ended.length === 0) return;
    await this.ended.insert(transaction, ended);
    await this.ended.keepNewest(transaction, app, endedKeptMax);
  }

  private async change(
    transaction: EntityManager,
    row: InstanceEntity,
    { after, before, instructs, joins, leaves }: InstanceChange,
    { setGenerations, endpointGeneration }: PlanFacts,
  ): Promise<void> {
    const generation = instructs && after.node !== null ? setGenerations.get(after.node) : undefined;
    const next: InstanceEntity = {
      ...row,
      node: after.node,
      state: after.state,
      reason: after.reason,
      retiring: after.retiring,
      availableAt: after.availableAt === null ? null : new Date(after.availableAt),
      drainUntil: after.drainUntil === null ? null : new Date(after.drainUntil),
      stateAt: new Date(after.stateAt),
      ...(generation !== undefined && { setGeneration: generation }),
      ...(joins && { joinedGeneration: endpointGeneration, leftGeneration: null }),
      ...(leaves && { joinedGeneration: null, leftGeneration: endpointGeneration }),
    };
    await this.write(transaction, next, after.state !== before.state);
  }

  private async start(transaction: EntityManager, start: readonly NewInstance[], facts: PlanFacts): Promise<void> {
    const nowMs = this.clock.nowMs();
    const at = new Date(nowMs);
    const rows = start.map((instance): InstanceEntity => ({
      id: newId('instance', nowMs),
      app: facts.app.id,
      appName: facts.app.name,
      project: facts.app.project,
      revision: instance.revision,
      revisionNumber: facts.revisionNumbers.get(instance.revision) ?? 0,
      node: instance.node,
      state: 'pending',
      reason: instance.reason,
      retiring: false,
      address: null,
      ports: {},
      restarts: 0,
      exitCode: null,
      version: 1,
      setGeneration: instance.node === null ? 0 : (facts.setGenerations.get(instance.node) ?? 0),
      joinedGeneration: null,
      leftGeneration: null,
      availableAt: null,
      drainUntil: null,
      stateAt: at,
      createdAt: at,
      updatedAt: at,
    }));
    await this.store.insert(transaction, rows);
    for (const row of rows) await this.announce(transaction, row);
  }

  private async write(transaction: EntityManager, row: InstanceEntity, entersState: boolean): Promise<void> {
    const written = { ...row, version: row.version + 1, updatedAt: this.clock.now() };
    await this.store.save(transaction, written);
    if (entersState) await this.announce(transaction, written);
  }

  /** For an instance that ends without its agent's word: it had none, or its node has left the cluster. */
  private async announceEnd(transaction: EntityManager, row: InstanceEntity): Promise<void> {
    const reason =
      row.node === null ? 'it was not needed any more before a node could take it' : 'its node has left the cluster';
    await this.announce(transaction, { ...row, state: 'stopped', reason, version: row.version + 1 });
  }

  private async announce(transaction: EntityManager, row: InstanceEntity): Promise<void> {
    await this.outbox.append(transaction, computeEvents.instanceChanged, {
      project: row.project,
      resource: row.id,
      resourceVersion: row.version,
      data: { instance: instanceOf(row) },
    });
  }
}

export function instanceOf(row: InstanceEntity): Instance {
  return {
    id: row.id,
    app: row.app,
    revision: row.revisionNumber,
    node: row.node,
    state: row.state,
    reason: row.reason,
    address: row.address,
    ports: row.ports,
    restarts: row.restarts,
    exitCode: row.exitCode,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

function viewOf(row: InstanceEntity): InstanceView {
  return {
    id: row.id,
    app: row.app,
    revision: row.revision,
    node: row.node,
    state: row.state,
    reason: row.reason,
    retiring: row.retiring,
    address: row.address,
    version: row.version,
    restarts: row.restarts,
    availableAt: row.availableAt?.getTime() ?? null,
    createdAt: row.createdAt.getTime(),
    stateAt: row.stateAt.getTime(),
    joinedGeneration: row.joinedGeneration,
    leftGeneration: row.leftGeneration,
    drainUntil: row.drainUntil?.getTime() ?? null,
  };
}

/** The row after what its agent says of it; null when that is nothing new, or the agent cannot know of it yet. */
function observed(
  row: InstanceEntity,
  report: ObservedInstance | undefined,
  seenGeneration: number,
  now: Date,
): InstanceEntity | null {
  if (report === undefined && seenGeneration < row.setGeneration) return null;
  const state = transition(row.state, { kind: 'observed', as: report?.state ?? 'absent', retiring: row.retiring });
  const keepsReason = state === row.state && (state === 'draining' || state === 'stopping');
  const next: InstanceEntity = {
    ...row,
    state,
    reason: keepsReason ? row.reason : (report?.reason ?? absentReason(state)),
    address: report?.address ?? row.address,
    ports: report?.ports ?? row.ports,
    restarts: report?.restarts ?? row.restarts,
    exitCode: report?.exitCode ?? row.exitCode,
    stateAt: state === row.state && (report?.restarts ?? 0) <= row.restarts ? row.stateAt : now,
  };
  return canonical(next) === canonical(row) ? null : next;
}

function absentReason(state: InstanceEntity['state']): string {
  return state === 'stopped' ? 'its agent does not have it any more' : 'its agent has not begun to start it yet';
}

function overtaken(): AltoError {
  return new AltoError('conflict', 'An instance has changed while its change was planned.');
}
