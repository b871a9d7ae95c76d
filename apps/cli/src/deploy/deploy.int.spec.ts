/** The order in which deploying changes things. The API is stood in for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AltoClient } from '@alto/sdk';
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
