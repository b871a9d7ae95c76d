/** Follows a change of an app to its end: each instance as it moves, and in the end what became of the change. */
import { setTimeout } from 'node:timers/promises';
import { type App, computeOperations, type Instance, type RolloutStatus } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { collect } from '../commands/collect';
import { CommandError, exitCodes } from '../failure';
import { Outage } from '../outage';

export interface FollowRequest {
  project: string;
  /** As the API answered the change. */
  accepted: App;
  /** Until the change is done. */
  timeoutMs: number;
  progress: (message: string) => void;
  /** It is enough that every instance serves; whether they stay healthy is not waited for. */
  untilReady?: boolean;
  /** Whether requests reach the app from here; asked once its instances are ready. Left out, that is not waited for. */
  isReachable?: () => Promise<boolean>;
}

const pollMs = 250;
/** Outside a rollout, which has deadlines of its own: an instance that crashed once is replaced within this time. */
const troubledMostMs = 20_000;
/** Where a proxy stands between that this command does not know, the app is not called a failure for it. */
const reachableWithinMs = 10_000;
const lastLines = 10;

/**
 * Goes on where the API is away for a while, as the change does.
 * @throws CommandError when the change fails or is taken back: why, and what its failing instance said last
 */
export async function followChange(client: AltoClient, request: FollowRequest): Promise<App> {
  const { project, accepted, progress, timeoutMs } = request;
  const deadline = Date.now() + timeoutMs;
  const instances = new InstanceProgress(client, request);
  const outage = new Outage(progress);
  const before = accepted.status.rollout;
  let own = before !== null && isUnderWay(before) ? before.number : undefined;
  let line = '';
  let troubledSince: number | undefined;
  for (;;) {
    const app = await outage.ask(async () => {
      const found = await client.apps.get({ project, app: accepted.name });
      await instances.show();
      return found;
    });
    if (app === undefined) {
      if (Date.now() > deadline) throw unknownEnd(request, outage);
      troubledSince = undefined;
      await setTimeout(pollMs);
      continue;
    }
    const { rollout, state } = app.status;
    const next = statusLine(app);
    if (next !== line) progress(next);
    line = next;
    if (rollout !== null && rollout.number > (before?.number ?? 0)) own ??= rollout.number;
    if (rollout !== null && own !== undefined)
      refuseFailure(app, rollout, own, instances.lastOf(rollout.failingInstance));
    if (isDone(app, own) || (request.untilReady === true && isServing(app))) {
      await untilReachable(request, Math.min(deadline, Date.now() + reachableWithinMs));
      return app;
    }
    const isTroubled = state === 'degraded' && !(rollout !== null && isUnderWay(rollout));
    troubledSince = isTroubled ? (troubledSince ?? Date.now()) : undefined;
    if (troubledSince !== undefined && Date.now() - troubledSince > troubledMostMs)
      throw await neverReady(client, request, `${app.name} does not become ready: ${app.status.reason}`);
    if (Date.now() > deadline)
      throw await neverReady(
        client,
        request,
        `${app.name} is not ready after ${timeoutMs / 1_000} s, and the change goes on: ${next}`,
      );
    await setTimeout(pollMs);
  }
}

function unknownEnd({ accepted: { name }, timeoutMs }: FollowRequest, { reason }: Outage): CommandError {
  return new CommandError(
    `What has become of ${name} is not known after ${timeoutMs / 1_000} s: ${reason}`,
    `The change goes on. \`alto apps show ${name}\` shows how far it is once Alto answers.`,
    exitCodes.unavailable,
  );
}

function isUnderWay({ phase }: RolloutStatus): boolean {
  return phase === 'running' || phase === 'reverting';
}

/** @param own number of the rollout that the change has begun, if it has */
function isDone({ status: { state, ready, updated, desired, rollout } }: App, own: number | undefined): boolean {
  if (own !== undefined && rollout?.phase !== 'completed') return false;
  if (state === 'rolled_back') return ready >= desired;
  return state === 'stopped' || (state === 'running' && updated >= desired);
}

function isServing({ status: { state, ready, updated, desired } }: App): boolean {
  return state !== 'degraded' && state !== 'stopped' && ready >= desired && updated >= desired;
}

function statusLine({ status: { ready, desired, reason, rollout } }: App): string {
  const step = rollout === null || !isUnderWay(rollout) ? null : rollout.step;
  const share =
    step === null ? '' : `, ${step.weight} % of requests to the new revision (step ${step.number} of ${step.of})`;
  return `${ready} of ${desired} ready${share}${reason === '' ? '' : `: ${reason}`}`;
}

/** @param last what the failing instance was doing when it was seen last */
function refuseFailure({ name }: App, rollout: RolloutStatus, own: number, last: string | undefined): void {
  const { phase, reason, failingInstance, lastLogLines } = rollout;
  if (rollout.number > own || phase === 'superseded')
    throw new CommandError(
      `A newer change of ${name} has taken the place of this one.`,
      `\`alto rollouts ${name}\` lists them.`,
    );
  if (phase !== 'rolled_back' && phase !== 'failed') return;
  const isBack = phase === 'rolled_back';
  const outcome = isBack ? `${name} is back at what ran before` : `${name} has not moved to revision ${rollout.to}`;
  throw new CommandError(
    `${outcome}: ${reason}${last === undefined ? '' : `\n${last}`}${wordsOf(failingInstance, lastLogLines)}`,
    `\`alto logs ${name}\` shows more of what it says, \`alto rollouts ${name}\` how its changes went.`,
    isBack ? exitCodes.rolledBack : exitCodes.failed,
  );
}

function wordsOf(instance: string | null, lines: readonly string[]): string {
  if (instance === null || lines.length === 0) return '';
  return `\n\nInstance ${instance} said last:\n${lines.map((line) => `  | ${line}`).join('\n')}\n`;
}

async function untilReachable({ accepted, isReachable, progress }: FollowRequest, deadline: number): Promise<void> {
  if (isReachable === undefined) return;
  while (!(await isReachable())) {
    if (Date.now() > deadline) {
      progress(`${accepted.name} is ready, but requests from this machine do not reach it yet`);
      return;
    }
    await setTimeout(pollMs);
  }
}

/** Tells each step of each instance once. Those that were there before are told of only when they move. */
class InstanceProgress {
  private told: Map<string, string> | undefined;
  private readonly lastWaits = new Map<string, string>();

  constructor(
    private readonly client: AltoClient,
    private readonly request: FollowRequest,
  ) {}

  /** In words; undefined for one that was never seen waiting, or has ended since: what it said says more then. */
  lastOf(id: string | null): string | undefined {
    const last = id === null ? undefined : this.lastWaits.get(id);
    if (last === undefined) return undefined;
    const advice = last.includes('nothing listens')
      ? '. An app has to listen on $PORT of $HOST, its own variables'
      : '';
    return `Instance ${id} was seen last as ${last}${advice}.`;
  }

  async show(): Promise<void> {
    const instances = await instancesOf(this.client, this.request);
    const now = new Map(instances.map((instance) => [instance.id, stepOf(instance)]));
    const isFirst = this.told === undefined;
    for (const { id, state, revision, reason, restarts } of instances) {
      const step = now.get(id) ?? '';
      if (restarts > 0) this.lastWaits.delete(id);
      else if (state === 'starting' && reason !== '') this.lastWaits.set(id, step);
      const isOld = isFirst && state === 'ready';
      if (!isOld && this.told?.get(id) !== step) this.tell(id, `revision ${revision}: ${step}`);
    }
    for (const [id] of this.told ?? []) if (!now.has(id)) this.tell(id, 'is gone');
    this.told = now;
  }

  private tell(id: string, what: string): void {
    this.request.progress(`  …${id.slice(-6)} ${what}`);
  }
}

function stepOf({ state, reason }: Instance): string {
  return state === 'ready' || reason === '' ? state : `${state}: ${reason}`;
}

async function instancesOf(client: AltoClient, { project, accepted }: FollowRequest): Promise<Instance[]> {
  return await collect(client.listAll(computeOperations.instances.list, { project, app: accepted.name, limit: 200 }));
}

/** With the last words of the instance that is worst off. */
async function neverReady(client: AltoClient, request: FollowRequest, message: string): Promise<CommandError> {
  const { name } = request.accepted;
  const words = await lastWords(client, request).catch(() => '');
  const nextStep = `\`alto logs ${name}\` shows more of what it says, \`alto apps show ${name}\` each instance.`;
  return new CommandError(`${message}${words}`, nextStep);
}

async function lastWords(client: AltoClient, request: FollowRequest): Promise<string> {
  const failing = (await instancesOf(client, request)).filter(({ state }) => state !== 'ready').sort(byTrouble)[0];
  if (failing === undefined) return '';
  const address = { project: request.project, app: request.accepted.name };
  const { lines } = await client.logs.read({ ...address, instance: failing.id, lines: lastLines });
  return wordsOf(
    failing.id,
    lines.map(({ text }) => text),
  );
}

const byTrouble = (left: Instance, right: Instance) => right.restarts - left.restarts || right.revision - left.revision;
