/** The machine's clock is set while a rollout is under way, as by NTP, or when a virtual machine goes on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App } from '@alto/contracts';
import { eventually, type NatsServer, startNats } from '@alto/testing';
import type { ScriptedAgent } from '../nodes/agent.fake';
import { Scenario, withinMs } from '../scenario.fake';

let nats: NatsServer;
let scenario: Scenario;
let agent: ScriptedAgent;
let folder: string;
let made = 0;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-clock-'));
  scenario = await Scenario.begin(nats, { serving: false });
  await startCompute();
  agent = scenario.join({ node: 'node-a' });
  scenario.addProxy('proxy-a');
});
afterEach(async () => {
  await scenario.end();
  rmSync(folder, { recursive: true, force: true });
});

const startCompute = () => scenario.startCompute(undefined, { ALTO_CLOCK_OFFSET_FILE: join(folder, 'offset') });

/** Sets compute's clock so far from the machine's, and waits until it has planned by that. */
async function setClock(offsetMs: number): Promise<void> {
  writeFileSync(join(folder, 'offset'), String(offsetMs));
  await eventually(
    async () => {
      const { createdAt } = await scenario.put(`later-${++made}`, { replicas: 0 });
      expect(Math.abs(Date.parse(createdAt) - Date.now() - offsetMs)).toBeLessThan(2_000);
    },
    { withinMs },
  );
  await reconciled();
}

async function reconciled(): Promise<void> {
  const { name } = await scenario.put(`later-${++made}`);
  await scenario.reaches(name, 'running');
}

const phaseOf = async () => (await scenario.get('hello')).status.rollout!.phase;
const phaseIs = (phase: NonNullable<App['status']['rollout']>['phase']) =>
  eventually(async () => expect(await phaseOf()).toBe(phase), { withinMs });

async function startingVersionTwo(): Promise<void> {
  const hello = { readiness: { deadlineMs: 60_000 }, progressDeadlineMs: 60_000 };
  await scenario.put('hello', { ...hello, env: { VERSION: '1' } });
  await phaseIs('completed');
  agent.behave = ({ env }) => (env['VERSION'] === '2' ? { state: 'starting', reason: 'loads' } : {});
  await scenario.put('hello', { ...hello, env: { VERSION: '2' } });
  await eventually(
    async () => expect((await scenario.instancesOf('hello')).map(({ state }) => state)).toContain('starting'),
    { withinMs },
  );
}

async function becomesReady(): Promise<void> {
  const two = agent.instructions.instances.find(({ env }) => env['VERSION'] === '2')!;
  agent.behave = () => ({});
  agent.set(two.id, { state: 'ready', reason: 'answers' });
  await phaseIs('completed');
}

describe('a clock that is set forward', () => {
  it('fails no rollout whose instances are starting, also not after compute was started again', async () => {
    await startingVersionTwo();
    await setClock(120_000);
    expect(await phaseOf()).toBe('running');
    await scenario.stopCompute(scenario.compute);
    await startCompute();
    await reconciled();
    expect(await phaseOf()).toBe('running');
    await becomesReady();
  });

  it('and back again fails none either', async () => {
    await startingVersionTwo();
    await setClock(120_000);
    await setClock(0);
    expect(await phaseOf()).toBe('running');
    await becomesReady();
  });
});
