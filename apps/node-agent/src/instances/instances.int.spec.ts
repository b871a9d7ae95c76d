import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, type DesiredInstance } from '@alto/contracts';
import { createLog, FakeClock } from '@alto/platform';
import type { RunView } from '../runtime/runtime';
import { AgentStateStore } from '../state/agent-state';
import type { Workload } from '../workloads/workload';
import { emptyMemory } from '../workloads/workload.state';
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
  ports: ['http'],
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

  it('gives each port of an instance a number of its own, and the same again', async () => {
    const others = ['a', 'b'].map((name) => ({ ...instance, id: newId('instance'), ports: [name, 'http', 'm'] }));
    const set = { generation: 2, fencingToken: 1, instances: [instance, ...others] };
    await instances.apply(set);
    const read = () => (JSON.parse(readFileSync(path, 'utf8')) as { state: AgentStateStore['current'] }).state;
    const { ports, furtherPorts } = read();
    expect(others.map(({ id }) => Object.keys(furtherPorts[id]!).sort())).toEqual([
      ['a', 'm'],
      ['b', 'm'],
    ]);
    const all = [...Object.values(ports), ...Object.values(furtherPorts).flatMap(Object.values<number>)];
    expect(new Set(all).size).toBe(7);
    await instances.apply({ ...set, generation: 3 });
    expect(read()).toMatchObject({ ports, furtherPorts });
  });
});

describe('an instance that is gone and no longer listed', () => {
  let root: string;
  let state: AgentStateStore;
  let instances: InstancesService;
  let phase: 'exited' | undefined;
  let view: RunView;
  let leave: () => Promise<void>;
  let events: string[];
  const id = instance.id;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'alto-instances-'));
    phase = 'exited';
    view = { state: 'none' };
    events = [];
    leave = async () => void events.push('left its place');
    state = new AgentStateStore(join(root, 'state.json'), () => undefined);
    await state.commit((current) => {
      current.ports[id] = 30_000;
      current.furtherPorts[id] = { metrics: 30_001 };
      current.places[id] = { level: 'none', ip: '127.0.0.1' };
      current.memories[id] = emptyMemory;
    });
    const statusOf = () => phase && { id, kind: 'instance', want: 'stopped', phase };
    const supervisor = {
      workloads: () => [],
      statuses: () => (phase ? [statusOf()] : []),
      status: statusOf,
      drop: () => {
        events.push(`dropped with port ${state.current.ports[id]}`);
        phase = undefined;
      },
    };
    const options = {
      supervisor,
      runtime: { observe: async () => view },
      state,
      machine: { instancesFolder: join(root, 'instances') },
      places: { leave: () => leave() },
      clock: new FakeClock(1_000),
      log: createLog({ level: 'silent', service: 'node-agent', instance: 'test', version: '0' }),
    };
    instances = new InstancesService(options as unknown as InstancesOptions);
    mkdirSync(join(root, 'instances', id, 'app'), { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const nothing = { generation: 1, fencingToken: 1, instances: [] };
  const kept = () => {
    const { ports, furtherPorts, places, memories } = state.current;
    const numbers = [ports, places, memories].map((of) => Object.keys(of).length);
    expect(Object.keys(furtherPorts)).toEqual(Object.keys(ports));
    return numbers;
  };

  it('gives back its address, and is dropped in the turn in which that is forgotten', async () => {
    await instances.apply(nothing);
    expect(events).toEqual(['left its place', 'dropped with port 30000']);
    expect(kept()).toEqual([0, 0, 0]);
    expect(state.current.retired).toEqual({ [id]: 1_000 });
    expect(existsSync(join(root, 'instances', id))).toBe(false);
  });

  it('is retired later when that fails, and keeps nothing else from being done', async () => {
    leave = () => Promise.reject(new Error('EIO'));
    await instances.apply(nothing);
    expect(events).toEqual([]);
    expect(kept()).toEqual([1, 1, 1]);
    leave = () => Promise.resolve();
    await instances.apply(nothing);
    expect(kept()).toEqual([0, 0, 0]);
    expect(instances.isRetired(id)).toBe(true);
  });

  it('is retired though no agent supervises it any more, once nothing of it is alive', async () => {
    phase = undefined;
    view = { state: 'running', run: 1, pid: 1, startedAtMs: 0 };
    await instances.apply(nothing);
    expect(kept()).toEqual([1, 1, 1]);
    const exit = { code: 0, signal: null };
    view = { state: 'ended', run: 1, exit, endedAtMs: 0, leftovers: 0 };
    await instances.apply(nothing);
    expect(kept()).toEqual([0, 0, 0]);
  });
});
