/** Nodes: their agents report here and learn what to run; the reconciler judges from their silence who is lost. */
import { Inject, Injectable } from '@nestjs/common';
import {
  AltoError,
  computeEvents,
  type computeOperations,
  type DesiredInstance,
  type InputOf,
  type Node,
  type OutputOf,
} from '@alto/contracts';
import { checkPrecondition, Clock, CONFIG, Database, Log, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { ComputeConfig } from '../config';
import { decodeCursor, pageOfRows } from '../cursors';
import { InstancesService } from '../instances/instances.service';
import { Nudges } from '../nudges';
import { sameValue } from '../placement/equality';
import type { NodeView } from '../placement/snapshot';
import { counted, listed } from '../placement/words';
import { RevisionsService } from '../revisions/revisions.service';
import { SecretValues } from '../secrets/secret-values';
import { instructionOf } from './instructions';
import type { NodeEntity } from './node.entity';
import { NodesStore } from './nodes.store';
import { isNews } from './report-order';

export type KeyHolder = Pick<NodeEntity, 'name' | 'masterKeys' | 'sealedWith'>;
type Report = InputOf<typeof computeOperations.nodes.sync>;
type Instructions = OutputOf<typeof computeOperations.nodes.sync>;
type NodeEvent = (typeof computeEvents)['nodeReady' | 'nodeLost' | 'nodeDeleted'];

@Injectable()
export class NodesService {
  constructor(
    @Inject(CONFIG) private readonly config: ComputeConfig,
    private readonly database: Database,
    private readonly store: NodesStore,
    private readonly instances: InstancesService,
    private readonly revisions: RevisionsService,
    private readonly secrets: SecretValues,
    private readonly outbox: Outbox,
    private readonly nudges: Nudges,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async list({
    limit,
    cursor,
  }: {
    limit: number;
    cursor?: string | undefined;
  }): Promise<OutputOf<typeof computeOperations.nodes.list>> {
    const { manager } = this.database;
    const rows = await this.store.page(manager, decodeCursor(cursor, 'string'), limit + 1);
    const used = await this.used(manager, rows);
    return pageOfRows(
      rows,
      limit,
      (row) => nodeOf(row, used.get(row.id) ?? nothing, this.reasonOf(row, used.get(row.id))),
      ({ id }) => id,
    );
  }

  /**
   * Takes in a report and answers with everything the agent is to run. The node's row is locked throughout, and the
   * reconciler locks it before it changes the set: so set and generation belong together, and a reconciler that has
   * lost its lease can have changed neither.
   */
  async sync(report: Report): Promise<Instructions> {
    return this.database.transaction(async (transaction) => {
      const node = await this.lockOrJoin(transaction, report);
      this.refuseOvertaken(node, report);
      const isBack = node.state === 'lost' || node.heartbeats === 0;
      const heard = this.hear(node, report);
      await this.store.save(transaction, heard);
      if (isBack) await this.announce(transaction, computeEvents.nodeReady, heard);
      const hasNews = await this.instances.observe(transaction, node.id, report.instances, report.seenGeneration);
      const isChanged =
        hasNews ||
        node.state !== 'ready' ||
        !sameValue(node.labels, heard.labels) ||
        node.cpuMillis !== heard.cpuMillis ||
        node.memoryBytes !== heard.memoryBytes;
      if (isChanged) this.database.afterCommit(transaction, () => this.nudges.reconciler());
      return this.instructions(transaction, heard);
    });
  }

  /** What is wanted of a node outlives its agent's restarts. @throws AltoError not_found */
  async setIntake(idOrName: string, intake: NodeEntity['intake']): Promise<Node> {
    return this.database.transaction(async (transaction) => {
      const node = await this.store.lockNamed(transaction, idOrName);
      if (node === null) throw new AltoError('not_found', `There is no node ${idOrName}.`);
      checkPrecondition(node);
      const next: NodeEntity = node.intake === intake ? node : { ...node, intake, version: node.version + 1 };
      await this.store.save(transaction, next);
      this.database.afterCommit(transaction, () => this.nudges.reconciler());
      const used = await this.used(transaction, [next]);
      return nodeOf(next, used.get(next.id) ?? nothing, this.reasonOf(next, used.get(next.id)));
    });
  }

  /**
   * Forgets a machine that will not come back: its instances are given up, and nothing waits for it or counts it any
   * more. Should it come back all the same, it joins anew and is told to run nothing.
   * @throws AltoError not_found; conflict while its agent is, or may be, there
   */
  async delete(idOrName: string): Promise<Node> {
    return this.database.transaction(async (transaction) => {
      const node = await this.lockLost(transaction, idOrName);
      // Without its instances the set is another one.
      const deleted: NodeEntity = { ...node, generation: node.generation + 1, version: node.version + 1 };
      const used = (await this.used(transaction, [node])).get(node.id) ?? nothing;
      await this.instances.giveUp(transaction, node.id);
      await this.store.remove(transaction, deleted);
      const told = nodeOf(deleted, used, 'deleted: what ran on it is given up');
      await this.append(transaction, computeEvents.nodeDeleted, told);
      this.database.afterCommit(transaction, () => {
        this.log.info('A node was deleted', { node: node.name, instances: used.instances });
        this.nudges.reconciler();
      });
      return told;
    });
  }

  /** Every node as the planner sees it, and the counters from which silence is told. */
  async survey(manager: EntityManager): Promise<{ views: NodeView[]; heartbeats: Map<string, number> }> {
    const rows = await this.store.all(manager);
    return {
      views: rows.map(({ id, name, state, intake, labels, cpuMillis, memoryBytes }) => ({
        id,
        name,
        state,
        intake,
        labels,
        capacity: { cpuMillis, memoryBytes },
      })),
      heartbeats: new Map(rows.map(({ id, heartbeats }) => [id, heartbeats])),
    };
  }

  /** What machines say of master keys; those that are lost aside. */
  async keyHolders(manager: EntityManager): Promise<KeyHolder[]> {
    const rows = await this.store.all(manager);
    const heard = rows.filter(({ state }) => state !== 'lost');
    return heard.map(({ name, masterKeys, sealedWith }) => ({ name, masterKeys, sealedWith }));
  }

  /** State that a node of that silence should be in; a lost one is back only when it reports. */
  judge(view: Pick<NodeView, 'state'>, silentMs: number): NodeView['state'] {
    if (view.state === 'lost' || silentMs >= this.config.ALTO_NODE_LOST_AFTER_MS) return 'lost';
    return silentMs >= this.config.ALTO_NODE_SUSPECT_AFTER_MS ? 'suspect' : 'ready';
  }

  /** Records the judgement, unless the node has been heard meanwhile. @param heartbeats the counter that was judged */
  async settle(transaction: EntityManager, id: string, state: NodeView['state'], heartbeats: number): Promise<void> {
    const node = await this.store.lock(transaction, id);
    if (node === null || node.heartbeats !== heartbeats || node.state === state) return;
    const settled: NodeEntity = { ...node, state, version: node.version + 1 };
    await this.store.save(transaction, settled);
    this.log.info('A node has changed its state', { node: node.name, from: node.state, to: state });
    if (state === 'lost') await this.announce(transaction, computeEvents.nodeLost, settled);
  }

  /**
   * Locks nodes whose sets are about to change and gives each set a new generation.
   * @param placing nodes that are to take new instances: each must still be ready
   * @returns new generations by node id
   * @throws AltoError conflict when a node cannot take them any more
   */
  async nextSets(
    transaction: EntityManager,
    ids: Iterable<string>,
    placing: ReadonlySet<string>,
    fencing: number,
  ): Promise<Map<string, number>> {
    const nodes = await this.store.lockAll(transaction, [...new Set(ids)]);
    const ready = new Set(nodes.filter(({ state }) => state === 'ready').map(({ id }) => id));
    if ([...placing].some((id) => !ready.has(id)))
      throw new AltoError('conflict', 'A node has been lost while an instance was placed on it.');
    const generations = new Map<string, number>();
    for (const node of nodes) {
      const generation = node.generation + 1;
      await this.store.save(transaction, { ...node, generation, fencing });
      generations.set(node.id, generation);
    }
    return generations;
  }

  /** The lost one of that id or name: a machine that has lost its disk joins as another of the same name. */
  private async lockLost(transaction: EntityManager, idOrName: string): Promise<NodeEntity> {
    const named = await this.store.lockAllNamed(transaction, idOrName);
    const lost = named.filter(({ state }) => state === 'lost');
    const node = named.find(({ id }) => id === idOrName) ?? lost[0] ?? named[0];
    if (node === undefined) throw new AltoError('not_found', `There is no node ${idOrName}.`);
    if (node.id !== idOrName && lost.length > 1) throw ambiguous(idOrName, lost);
    checkPrecondition(node);
    if (node.state !== 'lost') throw notLost(node);
    return node;
  }

  private async lockOrJoin(transaction: EntityManager, report: Report): Promise<NodeEntity> {
    const known = await this.store.lock(transaction, report.node);
    if (known !== null) return known;
    const at = this.clock.now();
    const { generation, fencing, version } = (await this.store.former(transaction, report.node)) ?? newborn;
    await this.store.insert(transaction, {
      id: report.node,
      name: report.name,
      agentVersion: report.agentVersion,
      ...report.capacity,
      state: 'ready',
      intake: 'open',
      labels: report.labels,
      incarnation: report.incarnation,
      sequence: report.sequence,
      heartbeats: 0,
      generation,
      fencing,
      masterKeys: null,
      sealedWith: [],
      version,
      lastSeenAt: at,
      createdAt: at,
    });
    await this.store.forgetFormer(transaction, report.node);
    this.log.info('A node has joined', { node: report.name });
    return (await this.store.lock(transaction, report.node))!;
  }

  private refuseOvertaken(node: NodeEntity, report: Report): void {
    const silentMs = this.clock.nowMs() - node.lastSeenAt.getTime();
    if (isNews(report, node, silentMs, this.config.ALTO_NODE_LOST_AFTER_MS)) return;
    throw new AltoError('stale_writer', {
      message: `A newer report of node ${node.name} has been taken in already.`,
      nextStep: 'If two agents use the same data folder, stop one of them.',
    });
  }

  private hear(node: NodeEntity, report: Report): NodeEntity {
    const changes = node.state !== 'ready' || node.heartbeats === 0;
    return {
      ...node,
      name: report.name,
      agentVersion: report.agentVersion,
      ...report.capacity,
      state: 'ready',
      labels: report.labels,
      incarnation: report.incarnation,
      sequence: report.sequence,
      heartbeats: node.heartbeats + 1,
      masterKeys: report.masterKeys ?? null,
      sealedWith: report.sealedWith ?? [],
      // After the database was set back the agent knows a newer set than we do; ours counts on from there.
      generation: report.seenGeneration > node.generation ? report.seenGeneration + 1 : node.generation,
      version: changes ? node.version + 1 : node.version,
      lastSeenAt: this.clock.now(),
    };
  }

  private async instructions(transaction: EntityManager, node: NodeEntity): Promise<Instructions> {
    const rows = await this.instances.onNode(transaction, node.id);
    const revisions = await this.revisions.byIds(
      transaction,
      rows.map(({ revision }) => revision),
    );
    const pinned = (row: { project: string; revision: string }) => ({
      project: row.project,
      secrets: revisions.get(row.revision)?.stamp.secrets ?? {},
    });
    const sealedFor = await this.secrets.sealed(transaction, rows.map(pinned));
    const instances = rows
      .map((row) => instructionOf(row, revisions.get(row.revision), row.appName, sealedFor(pinned(row))))
      .filter((instruction): instruction is DesiredInstance => instruction !== null);
    return { generation: node.generation, fencingToken: node.fencing, instances };
  }

  private async announce(transaction: EntityManager, event: NodeEvent, node: NodeEntity): Promise<void> {
    const used = await this.used(transaction, [node]);
    const told = nodeOf(node, used.get(node.id) ?? nothing, this.reasonOf(node, used.get(node.id)));
    await this.append(transaction, event, told);
  }

  private async append(transaction: EntityManager, event: NodeEvent, node: Node): Promise<void> {
    const facts = { project: null, resource: node.id, resourceVersion: node.version, data: { node } };
    await this.outbox.append(transaction, event, facts);
  }

  private reasonOf(node: NodeEntity, { instances } = nothing): string {
    const silentS = Math.max(0, Math.round((this.clock.nowMs() - node.lastSeenAt.getTime()) / 1000));
    if (node.state === 'ready' && node.intake === 'cordoned') return 'cordoned: it takes no new instances';
    if (node.state === 'ready' && node.intake === 'draining') {
      return instances === 0
        ? 'drained: nothing runs on it, and it takes no new instances'
        : `draining: ${counted(instances, 'instance')} to move; each leaves once another one serves in its place`;
    }
    if (node.state === 'ready') return 'its agent reports';
    if (node.state === 'suspect') return `its agent has not reported for ${silentS} s; nothing new is placed on it`;
    return `its agent has not reported for ${silentS} s; its instances are replaced where others can take them`;
  }

  private async used(manager: EntityManager, nodes: readonly NodeEntity[]): Promise<Map<string, Node['used']>> {
    const usage = await this.instances.usage(
      manager,
      nodes.map(({ id }) => id),
    );
    const revisions = await this.revisions.views(
      manager,
      usage.map(({ revision }) => revision),
    );
    const used = new Map<string, Node['used']>();
    for (const { node, revision, count } of usage) {
      const { cpuMillis, memoryBytes } = revisions.get(revision)?.resources ?? nothing;
      const sum = used.get(node) ?? nothing;
      used.set(node, {
        cpuMillis: sum.cpuMillis + cpuMillis * count,
        memoryBytes: sum.memoryBytes + memoryBytes * count,
        instances: sum.instances + count,
      });
    }
    return used;
  }
}

const nothing = { cpuMillis: 0, memoryBytes: 0, instances: 0 };
/** Where a machine that was never here begins to count. */
const newborn = { generation: 0, fencing: 0, version: 0 };

function notLost({ name, state }: NodeEntity): AltoError {
  return new AltoError('conflict', {
    message: `Node ${name} is ${state}: only one that is lost can be deleted.`,
    nextStep: `Move what it runs with \`alto nodes drain ${name}\`, stop its agent there, and wait until it is lost.`,
  });
}

function ambiguous(name: string, lost: readonly NodeEntity[]): AltoError {
  return new AltoError('conflict', {
    message: `${lost.length} lost nodes have the name ${name}.`,
    nextStep: `Name one by its id: ${listed(lost.map(({ id }) => id))}.`,
  });
}

function nodeOf(row: NodeEntity, used: Node['used'], reason: string): Node {
  return {
    id: row.id,
    name: row.name,
    state: row.state,
    intake: row.intake,
    labels: row.labels,
    reason,
    agentVersion: row.agentVersion,
    capacity: { cpuMillis: row.cpuMillis, memoryBytes: row.memoryBytes },
    used,
    version: row.version,
    lastSeenAt: row.lastSeenAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
  };
}
