/** Follows a change of an app to its end: each instance as it moves, and in the end what became of the change. */
import { setTimeout } from 'node:timers/promises';
import { AltoError, type App, computeOperations, type Instance, type LogLine } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { collect } from '../commands/collect';
import { CommandError } from '../failure';

export interface FollowRequest {
  project: string;
  app: string;
  /** Until the change is done. */
  timeoutMs: number;
  progress: (message: string) => void;
  /** Whether requests reach the app from here; asked once its instances are ready. Left out, that is not waited for. */
  isReachable?: () => Promise<boolean>;
}

const pollMs = 250;
/** An instance that crashed once, or a machine that was just lost, is replaced within this time. */
const troubledMostMs = 20_000;
/** Where a proxy stands between that this command does not know, the app is not called a failure for it. */
const reachableWithinMs = 10_000;
const lastLines = 10;

/** @throws CommandError when the app does not become ready: why, and what its failing instance said last */
export async function followChange(client: AltoClient, request: FollowRequest): Promise<App> {
  const { project, app: name, progress } = request;
  const deadline = Date.now() + request.timeoutMs;
  const instances = new InstanceProgress(client, request);
  let line = '';
  let troubledSince: number | undefined;
  for (;;) {
    const app = await client.apps.get({ project, app: name });
    await instances.show();
    const next = statusLine(app);
    if (next !== line) progress(next);
    line = next;
    if (isDone(app)) {
      await untilReachable(request, Math.min(deadline, Date.now() + reachableWithinMs));
      return app;
    }
    troubledSince = app.status.state === 'degraded' ? (troubledSince ?? Date.now()) : undefined;
    if (troubledSince !== undefined && Date.now() - troubledSince > troubledMostMs) {
      throw await failure(client, request, `${name} does not become ready: ${app.status.reason}`);
    }
    if (Date.now() > deadline) {
      throw await failure(
        client,
        request,
        `${name} is not ready after ${request.timeoutMs / 1000} s: ${app.status.reason}`,
      );
    }
    await setTimeout(pollMs);
  }
}

function isDone({ status: { state, updated, desired } }: App): boolean {
  return state === 'stopped' || (state === 'running' && updated >= desired);
}

function statusLine({ status: { ready, desired, reason } }: App): string {
  return `${ready} of ${desired} ready${reason === '' ? '' : `: ${reason}`}`;
}

async function untilReachable({ app, isReachable, progress }: FollowRequest, deadline: number): Promise<void> {
  if (isReachable === undefined) return;
  while (!(await isReachable())) {
    if (Date.now() > deadline) {
      progress(`${app} is ready, but requests from this machine do not reach it yet`);
      return;
    }
    await setTimeout(pollMs);
  }
}

/** Tells each step of each instance once. Those that were there before are told of only when they move. */
class InstanceProgress {
  private told: Map<string, string> | undefined;

  constructor(
    private readonly client: AltoClient,
    private readonly request: FollowRequest,
  ) {}

  async show(): Promise<void> {
    const instances = await instancesOf(this.client, this.request);
    const now = new Map(instances.map((instance) => [instance.id, stepOf(instance)]));
    const isFirst = this.told === undefined;
    for (const { id, state, revision } of instances) {
      const step = now.get(id) ?? '';
      const isOld = isFirst && state === 'ready';
      if (!isOld && this.told?.get(id) !== step)
        this.request.progress(`  …${id.slice(-6)} revision ${revision}: ${step}`);
    }
    for (const [id] of this.told ?? []) if (!now.has(id)) this.request.progress(`  …${id.slice(-6)} is gone`);
    this.told = now;
  }
}

function stepOf({ state, reason }: Instance): string {
  return state === 'ready' || reason === '' ? state : `${state}: ${reason}`;
}

async function instancesOf(client: AltoClient, { project, app }: FollowRequest): Promise<Instance[]> {
  try {
    return await collect(client.listAll(computeOperations.instances.list, { project, app, limit: 200 }));
  } catch (error) {
    if (error instanceof AltoError && error.code === 'not_found') return [];
    throw error;
  }
}

/** With the last words of the instance that is worst off. */
async function failure(client: AltoClient, request: FollowRequest, message: string): Promise<CommandError> {
  const words = await lastWords(client, request).catch(() => '');
  return new CommandError(
    `${message}${words}`,
    `\`alto logs ${request.app}\` shows more of what it says, \`alto apps show ${request.app}\` each instance.`,
  );
}

async function lastWords(client: AltoClient, request: FollowRequest): Promise<string> {
  const failing = (await instancesOf(client, request)).filter(({ state }) => state !== 'ready').sort(byTrouble)[0];
  if (failing === undefined) return '';
  const { project, app } = request;
  const { lines } = await client.logs.read({ project, app, instance: failing.id, lines: lastLines });
  const title = `\n\nInstance ${failing.id} is ${stepOf(failing)}`;
  return lines.length === 0 ? title : `${title}. It said last:\n${lines.map(quoted).join('\n')}`;
}

const byTrouble = (left: Instance, right: Instance) => right.restarts - left.restarts || right.revision - left.revision;

const quoted = ({ text }: LogLine) => `  | ${text}`;
