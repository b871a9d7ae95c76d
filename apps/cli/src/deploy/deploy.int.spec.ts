/** The order in which deploying changes things. The API is stood in for. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { AltoClient } from '@alto/sdk';
import type { CommandError } from '../failure';
import { interruptible } from '../interruption';
import { packFolder } from './archive';
import { deploy, type DeployRequest, planDeployment, stepsOf } from './deploy';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-deploy-test-'));
  writeFileSync(join(folder, 'alto.yaml'), 'name: shop\ncommand: [node, server.mjs]\n');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param state that the app is seen in; `ready` follows from it */
function makeApi(state: 'running' | 'rolled_back') {
  const done: string[] = [];
  const under = { number: 2, phase: 'running', step: null, reason: '', failingInstance: null };
  const status = { state, ready: 1, updated: 1, desired: 1, reason: '' };
  const accepted = { name: 'shop', status: { ...status, rollout: under } };
  const phase = state === 'running' ? 'completed' : 'rolled_back';
  const app = { ...accepted, status: { ...status, rollout: { ...under, phase } } };
  const client = {
    upload: () => Promise.resolve({ id: 'bun_1' }),
    listAll: async function* ({ name }: { name: string }) {
      if (name.includes('routes')) yield { name: 'main', host: 'taken.test', path: '/', app: 'old' };
    },
    apps: {
      put: ({ dryRun }: { dryRun?: string }) => {
        if (dryRun === 'true') return Promise.resolve({ plan: { steps: ['a step'] } });
        done.push('shop is put');
        return Promise.resolve(accepted);
      },
      get: () => {
        if (!done.includes('shop is followed')) done.push('shop is followed');
        return Promise.resolve(app);
      },
    },
    logs: { read: () => Promise.resolve({ lines: [] }) },
    routes: { put: ({ route, host }: Record<string, string>) => Promise.resolve(done.push(`${route}: ${host}`)) },
  } as unknown as AltoClient;
  return { client, done };
}

const request = (progress: (message: string) => void = () => {}): DeployRequest => ({
  directory: folder,
  project: 'default',
  hosts: ['taken.test', 'new.test'],
  timeoutMs: 5_000,
  progress,
});

describe('a host that leads to another app', () => {
  it('is taken from it only once the new app is ready; one that leads nowhere leads to the app at once', async () => {
    const { client, done } = makeApi('running');
    const told: string[] = [];
    await deploy(
      client,
      request((message) => told.push(message)),
    );
    expect(done).toEqual(['shop is put', 'new-test: new.test', 'shop is followed', 'main: taken.test']);
    expect(told).toContain('taken.test will lead to shop instead of old, once it is ready');
    expect(told).toContain('taken.test leads to shop');
  });

  it('is left to it where the deployment fails', async () => {
    const { client, done } = makeApi('rolled_back');
    await expect(deploy(client, request())).rejects.toThrow();
    expect(done).toEqual(['shop is put', 'new-test: new.test', 'shop is followed']);
  });

  it('is named by a dry run, which changes nothing', async () => {
    const { client, done } = makeApi('running');
    expect(stepsOf(await planDeployment(client, request()))).toEqual([
      'a step',
      'taken.test will lead to shop instead of old',
      'new.test will lead to shop',
    ]);
    expect(done).toEqual([]);
  });
});

it.each([
  ['alto.yaml', 'hosts: [a.test]\n', []],
  ['--host', '', ['a.test']],
])('refuses a host of %s that a worker cannot answer at, before anything is uploaded', async (_, line, hosts) => {
  writeFileSync(join(folder, 'alto.yaml'), `name: shop\ncommand: [node, server.mjs]\nports: []\n${line}`);
  const { client, done } = makeApi('running');
  const told: string[] = [];
  const asked = { ...request((message) => told.push(message)), hosts };
  await expect(deploy(client, asked)).rejects.toThrow('hosts: a.test cannot lead to shop, which has no port `http`');
  await expect(planDeployment(client, asked)).rejects.toThrow('cannot lead to shop');
  expect([...done, ...told]).toEqual([]);
});

describe('an interrupted deployment', () => {
  const packed = () => readdirSync(tmpdir()).filter((name) => name.startsWith('alto-deploy-'));

  /** Archives made since that stay: those that others make in the same folder meanwhile go again. */
  async function leftSince(before: readonly string[]): Promise<string[]> {
    let left = packed().filter((name) => !before.includes(name));
    for (let tries = 0; left.length > 0 && tries < 300; tries++) {
      await setTimeout(100);
      left = left.filter((name) => existsSync(join(tmpdir(), name)));
    }
    return left;
  }

  /** @param at the call in which Ctrl-C is pressed; it ends as the client ends it */
  async function interruptedAt(at: 'upload' | 'put' | 'get') {
    const { client, done } = makeApi('running');
    const stop = new AbortController();
    const broken = () => {
      stop.abort(new Error('no end of it is told'));
      return Promise.reject(stop.signal.reason as Error);
    };
    Object.assign(at === 'upload' ? client : client.apps, { [at]: broken });
    const before = packed();
    const failure = await deploy(client, { ...request(), interrupted: stop.signal }).catch((error: unknown) => error);
    return { failure, done, left: await leftSince(before) };
  }

  it('has changed nothing before Alto was asked, and leaves no archive behind', async () => {
    const { failure, done, left } = await interruptedAt('upload');
    expect(failure).toMatchObject({ message: 'Interrupted. Nothing was changed.', exitCode: 130 });
    expect({ done, left }).toEqual({ done: [], left: [] });
  });

  it('says where it is to be seen whether it was accepted', async () => {
    const { failure } = await interruptedAt('put');
    expect(failure).toMatchObject({ nextStep: '`alto rollouts shop` shows whether it has begun.', exitCode: 130 });
  });

  it('goes on once it was accepted, and says so; a host that leads elsewhere is left there', async () => {
    const { failure, done } = await interruptedAt('get');
    expect(failure).toMatchObject({ exitCode: 130 });
    expect((failure as CommandError).message).toMatch(/goes on deploying shop\. shop was not given taken\.test\./);
    expect((failure as CommandError).nextStep).toMatch(/`alto apps show shop`/);
    expect(done).toEqual(['shop is put', 'new-test: new.test']);
  });

  it('is what Ctrl-C makes of one', async () => {
    const failure = interruptible({ secondEnds: true }, async (interrupted) => {
      const { client } = makeApi('running');
      const upload = async () => {
        process.emit('SIGINT');
        await setTimeout(60_000, undefined, { signal: interrupted });
      };
      return await deploy(Object.assign(client, { upload }), { ...request(), interrupted });
    });
    await expect(failure).rejects.toMatchObject({ message: 'Interrupted. Nothing was changed.', exitCode: 130 });
    expect(process.listenerCount('SIGINT')).toBe(0);
  });

  it('packs no further', async () => {
    const before = packed();
    const stop = new AbortController();
    for (let count = 0; count < 200; count++) writeFileSync(join(folder, `file-${count}`), Buffer.alloc(100_000));
    const packing = packFolder(folder, stop.signal);
    setImmediate(() => stop.abort());
    await expect(packing).rejects.toThrow();
    expect(await leftSince(before)).toEqual([]);
  });
});
