import { newId, observedInstanceSchema, type DesiredInstance } from '@alto/contracts';
import type { WorkloadStatus } from '../workloads/supervisor';
import type { Phase } from '../workloads/workload.state';
import { instanceWorkload, observedInstance } from './instance-workload';

const machine = {
  instancesFolder: '/data/instances',
  nodePath: '/data/node/bin',
  ip: '127.0.0.1',
  cpuBurstMillis: 1_000,
  processesMax: 512,
  logBytesPerSecond: 1 << 20,
  publicPorts: undefined,
};
const instance: DesiredInstance = {
  id: newId('instance'),
  project: newId('project'),
  app: newId('app'),
  appName: 'hello',
  revision: 3,
  want: 'running',
  bundle: null,
  command: ['node', 'server.mjs'],
  env: { COLOUR: 'blue', PORT: '1', HOST: '0.0.0.0', TMPDIR: '/my' },
  ports: ['http'],
  readiness: { path: '/ready?now', timeoutMs: 500, deadlineMs: 60_000 },
  liveness: null,
  restart: 'always',
  resources: { cpuMillis: 100, memoryBytes: 1 << 27 },
  stop: { signal: 'SIGINT', graceMs: 1_000 },
};

describe('instanceWorkload', () => {
  it('gives the instance its address, its folders and Alto’s Node first, and its own settings but for the address', () => {
    const workload = instanceWorkload(instance, { main: 20_007, further: {} }, machine);
    expect(workload).toMatchObject({
      id: instance.id,
      kind: 'instance',
      cwd: `/data/instances/${instance.id}/app`,
      ports: { http: 20_007 },
      readiness: { kind: 'http', url: 'http://127.0.0.1:20007/ready?now', timeoutMs: 500 },
      stop: { signal: 'SIGINT', graceMs: 1_000 },
      restart: 'always',
    });
    expect(workload.env).toMatchObject({
      COLOUR: 'blue',
      TMPDIR: '/my',
      PORT: '20007',
      HOST: '127.0.0.1',
      HOME: `/data/instances/${instance.id}/home`,
      ALTO_APP: 'hello',
      ALTO_REVISION: '3',
    });
    expect(workload.env['PATH']).toMatch(/^\/data\/node\/bin:/);
  });

  it('gives it each further port in a variable of its own', () => {
    const named = { ...instance, ports: ['my-metrics', 'http'] };
    const workload = instanceWorkload(named, { main: 20_007, further: { 'my-metrics': 20_008 } }, machine);
    expect(workload.ports).toEqual({ http: 20_007, 'my-metrics': 20_008 });
    expect(workload.env).toMatchObject({ PORT: '20007', PORT_MY_METRICS: '20008' });
    expect(workload.readiness).toMatchObject({ kind: 'http', url: 'http://127.0.0.1:20007/ready?now' });
  });

  it('asks nothing of a worker, and gives it no port that it has not named', () => {
    const { PORT: _, ...env } = instance.env;
    const workload = instanceWorkload({ ...instance, env, ports: [] }, { main: 20_007, further: {} }, machine);
    expect(workload).toMatchObject({ ports: {}, readiness: { kind: 'none' } });
    expect(workload.liveness).toBeUndefined();
    expect(Object.keys(workload.env).filter((name) => name.startsWith('PORT'))).toEqual([]);
  });
});

describe('limits of an instance', () => {
  const limitsOf = (cpuMillis: number) =>
    instanceWorkload(
      { ...instance, resources: { cpuMillis, memoryBytes: 1 << 27 } },
      { main: 20_007, further: {} },
      machine,
    ).limits;

  it('are its resources, with the CPU that others leave', () => {
    expect(limitsOf(100)).toEqual({
      cpuMillis: 100,
      cpuMillisMax: 1_000,
      memoryBytes: 1 << 27,
      processesMax: 512,
      logBytesPerSecond: 1 << 20,
    });
    expect(limitsOf(2_500)).toMatchObject({ cpuMillis: 2_500, cpuMillisMax: 2_500 });
  });
});

describe('observedInstance', () => {
  const status = (phase: Phase, more: Partial<WorkloadStatus> = {}): WorkloadStatus => ({
    id: instance.id,
    kind: 'instance',
    name: 'hello',
    want: 'running',
    phase,
    reason: 'because',
    pid: null,
    run: 1,
    startedAtMs: null,
    restarts: 2,
    exitCode: null,
    exitSignal: null,
    ports: { http: 20_007 },
    release: null,
    outdated: false,
    ...more,
  });

  it.each<[Phase, string]>([
    ['waiting', 'starting'],
    ['starting', 'starting'],
    ['ready', 'ready'],
    ['unready', 'running'],
    ['backoff', 'backoff'],
    ['stopping', 'stopping'],
    ['exited', 'exited'],
    ['completed', 'exited'],
    ['failed', 'failed'],
  ])('tells compute of %s as %s, as the contract has it', (phase, state) => {
    const observed = observedInstance(status(phase), '127.0.0.1');
    expect(observedInstanceSchema.parse(observed).state).toBe(state);
  });

  it('is fetching before its first run, and has no address before it is given one', () => {
    const observed = observedInstance(status('starting', { run: 0, ports: { http: 0 } }), '127.0.0.1');
    expect(observed).toMatchObject({ state: 'fetching', address: null });
    expect(observedInstance(status('ready', { ports: { metrics: 20_008 } }), '127.0.0.1')).toMatchObject({
      address: null,
      ports: { metrics: { ip: '127.0.0.1', port: 20_008 } },
    });
    expect(observedInstance(status('ready', { startedAtMs: 0 }), '127.0.0.1')).toMatchObject({
      address: { ip: '127.0.0.1', port: 20_007 },
      startedAt: '1970-01-01T00:00:00.000Z',
    });
  });
});
