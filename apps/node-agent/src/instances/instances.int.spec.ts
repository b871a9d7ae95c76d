import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, type DesiredInstance } from '@alto/contracts';
import { AgentStateStore } from '../state/agent-state';
import type { Workload } from '../workloads/workload';
import { InstancesService, type InstancesOptions } from './instances.service';

const instance: DesiredInstance = {
  id: newId('instance'),
  project: newId('project'),
  app: newId('app'),
  appName: 'hello',
  revision: 1,
  want: 'running',
  bundle: null,
  command: ['node', 'server.mjs'],
  env: {},
  readiness: { path: '/', timeoutMs: 500, deadlineMs: 60_000 },
  liveness: null,
  restart: 'always',
  resources: { cpuMillis: 100, memoryBytes: 1 << 27 },
  stop: { signal: 'SIGTERM', graceMs: 1_000 },
};
const desired = { generation: 1, fencingToken: 1, instances: [instance] };

describe('a disk that takes no state', () => {
  let root: string;
  let path: string;
  const wanted: string[] = [];
  let instances: InstancesService;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'alto-instances-'));
    path = join(root, 'state', 'state.json');
    wanted.length = 0;
    const supervisor = {
      want: ({ id, ports }: Workload) => wanted.push(`${id} at ${ports['http']}`),
      workloads: () => [],
      statuses: () => [],
    };
    const options = {
      supervisor,
      state: new AgentStateStore(path, () => undefined),
      machine: { instancesFolder: join(root, 'instances'), nodePath: '', ip: '127.0.0.1' },
      places: { of: () => ({ level: 'none', ip: '127.0.0.1', gateway: '127.0.0.1' }) },
      ports: { first: 30_000, last: 30_999 },
    };
    instances = new InstancesService(options as unknown as InstancesOptions);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('keeps a set from being acted on, however often it is sent, until it is written', async () => {
    writeFileSync(join(root, 'state'), 'in the way of the folder');
    for (const _ of ['news', 'the same again']) {
      await expect(instances.apply(desired)).rejects.toThrow(/ENOTDIR|EEXIST/);
      expect(wanted).toEqual([]);
    }
    renameSync(join(root, 'state'), join(root, 'away'));
    await instances.apply(desired);
    const { state } = JSON.parse(readFileSync(path, 'utf8')) as { state: AgentStateStore['current'] };
    expect(state.instances).toEqual([instance]);
    expect(wanted).toEqual([`${instance.id} at ${state.ports[instance.id]}`]);
  });
});
