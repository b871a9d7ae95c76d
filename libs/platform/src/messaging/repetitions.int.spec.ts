/** Two instances of a service, each a process of its own, of which one is frozen or both are slow. */
import {
  buildChild,
  callerOf,
  callerSigner,
  type Child,
  type ChildProgram,
  eventually,
  type NatsServer,
  newCallerKeys,
  newTestProject,
  type RunningClient,
  startClient,
  startNats,
} from '@alto/testing';
import type { Operation } from '@alto/contracts';
import type { CallTerms } from './call-terms';
import { work, type WorkerInput } from './fixtures/work';
import { natsPingSettings } from './repetitions';

const keys = newCallerKeys();
const project = newTestProject();
const callerToken = callerSigner(keys).sign(callerOf(project, 'developer'));

let program: ChildProgram;
let nats: NatsServer;
let client: RunningClient;
let instances: Child[];

beforeAll(async () => {
  program = await buildChild(new URL('./fixtures/worker.ts', import.meta.url));
  nats = await startNats({ config: natsPingSettings });
  const input: WorkerInput = { url: nats.url, callerPublicKeys: keys.publicKeys };
  instances = [program.start(input), program.start(input)];
  for (const instance of instances) await instance.said({ said: 'serving' }, { withinMs: 60_000 });
});
afterAll(async () => {
  await program.remove();
  await nats.stop();
});

// What it has seen of the service goes with it.
beforeEach(async () => {
  client = await startClient(nats.url, 'gateway');
});
afterEach(() => client.stop());

/** How often a handler was given the request. */
const served = (verb: string, id?: number) =>
  instances
    .flatMap(({ messages }) => messages)
    .filter((message) => message['served'] === verb && (id === undefined || message['id'] === id)).length;

/** @returns the codes of what failed, by the request's number */
async function callAll(
  operation: Operation,
  count: number,
  {
    first = 0,
    terms = () => ({}),
    timeoutMs,
  }: { first?: number; terms?: (id: number) => CallTerms; timeoutMs?: number } = {},
): Promise<Map<number, string>> {
  const failures = new Map<number, string>();
  const ids = Array.from({ length: count }, (_, index) => first + index);
  await Promise.all(
    ids.map((id) =>
      client.client
        .call(
          operation,
          { project: project.id, id },
          { callerToken, terms: terms(id), ...(timeoutMs && { timeoutMs }) },
        )
        .catch((error: { code: string }) => void failures.set(id, error.code)),
    ),
  );
  return failures;
}

/** It is back, and has read what had come meanwhile, when it serves again. */
async function thaw(frozen: Child): Promise<void> {
  frozen.resume();
  const before = frozen.messages.filter((message) => message['served'] === 'get').length;
  await eventually(
    async () => {
      await callAll(work.get, 10);
      expect(frozen.messages.filter((message) => message['served'] === 'get').length).toBeGreaterThan(before);
    },
    { withinMs: 30_000 },
  );
}

/** Every answer takes so long from now on. */
async function take(tookMs: number): Promise<void> {
  for (const instance of instances) {
    instance.tell({ tookMs });
    await instance.said({ tookMs });
  }
}

const named = (id: number): CallTerms => ({ onceKey: id.toString(16).padStart(64, '0') });

it('answers whatever may be repeated while one instance of two is frozen, and does the rest once at most', async () => {
  const [frozen] = instances as [Child, Child];
  frozen.pause();
  const [reads, changes, once, commands] = await Promise.all([
    callAll(work.get, 40),
    callAll(work.put, 40),
    callAll(work.restart, 40, { first: 1_000, terms: named }),
    // Long enough for the other instance, however busy the machine is.
    callAll(work.restart, 40, { timeoutMs: 5_000 }),
  ]);
  expect({ reads: [...reads], changes: [...changes], once: [...once] }).toEqual({ reads: [], changes: [], once: [] });
  // The group gave it some of them, and nobody dared to send those again.
  expect(new Set(commands.values())).toEqual(new Set(['timeout']));
  for (let id = 0; id < 40; id++) expect(served('restart', id)).toBe(commands.has(id) ? 0 : 1);

  await thaw(frozen);
  for (const id of commands.keys()) expect(served('restart', id)).toBe(0);
});

it('does nothing after a thaw that nobody waits for any more', async () => {
  const [frozen] = instances as [Child, Child];
  frozen.pause();
  // Too short for NATS to drop it: what was sent to it is there when it goes on.
  const failures = await callAll(work.restart, 40, { first: 2_000, timeoutMs: 3_000 });
  expect(failures.size).toBeGreaterThan(0);
  await thaw(frozen);
  for (const id of failures.keys()) expect(served('restart', id)).toBe(0);
});

it('gives a service that is merely slow hardly more to do', async () => {
  const count = 200;
  await callAll(work.get, count);
  await take(1_500);
  const before = served('get');
  expect([...(await callAll(work.get, count))]).toEqual([]);
  expect([...(await callAll(work.get, count))]).toEqual([]);
  const repeated = served('get') - before - 2 * count;
  expect(repeated).toBeGreaterThan(0);
  expect(repeated).toBeLessThanOrEqual(50);
  await take(0);
});
