/** Apps that do their worst to their neighbours and to Alto, on a machine as it is: what it cannot wall off it names. */
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { computeOperations, type Instance } from '@alto/contracts';
import { type Alto, eventually, startAlto } from '@alto/testing';
import { type Behaviour, programs } from './hostile/app';

const project = 'default';
const withinMs = 150_000;

let alto: Alto;
let sandbox: Awaited<ReturnType<Alto['status']>>['sandbox'];

async function deploy(name: Behaviour, more: Record<string, unknown> = {}): Promise<void> {
  await alto.client.call(computeOperations.apps.put, {
    project,
    app: name,
    command: ['node', '-e', programs[name]],
    healthyMs: 0,
    resources: { cpuMillis: 50, memoryBytes: 100 << 20 },
    stop: { signal: 'SIGTERM', graceMs: 1_000 },
    ...more,
  });
}

async function instanceOf(app: Behaviour): Promise<Instance | undefined> {
  const { items } = await alto.client.call(computeOperations.instances.list, { project, app });
  return items[0];
}

const untilIts = (app: Behaviour, expected: Partial<Record<keyof Instance, unknown>>) =>
  eventually(
    async () => {
      const instance = await instanceOf(app);
      expect(instance).toMatchObject(expected);
      return instance as Instance;
    },
    { withinMs, everyMs: 200 },
  );

/** Through the load balancer, as everybody; each on a connection of its own, as an idle one may be closing just then. */
function ask(app: Behaviour, path = '/'): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { host: `${app}.${project}.localhost` };
  request(`${alto.appsUrl}${path}`, { headers, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
  })
    .on('error', reject)
    .end();
  return promise;
}

async function notesOf(app: Behaviour): Promise<string> {
  const { lines } = await alto.client.call(computeOperations.logs.read, { project, app, lines: 1_000 });
  return lines.flatMap(({ stream, text }) => (stream === 'alto' ? [text] : [])).join('\n');
}

beforeAll(async () => {
  const limits = {
    ALTO_INSTANCE_PROCESSES_MAX: '64',
    ALTO_INSTANCE_LOG_BYTES_PER_SECOND: String(64 << 10),
    ALTO_INSTANCE_DISK_BYTES_MAX: String(64 << 20),
  };
  alto = await startAlto({ env: limits });
  ({ sandbox } = await alto.status());
  await deploy('neighbour');
  await eventually(async () => expect(await ask('neighbour')).toBe('here'), { withinMs });
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 300_000);

/** Whatever they do, others are served, and Alto's own processes are those that they were. */
afterEach(async () => {
  expect(await ask('neighbour')).toBe('here');
  expect(await instanceOf('neighbour')).toMatchObject({ state: 'ready', restarts: 0 });
  const { workloads } = await alto.status();
  const restarted = workloads.filter(({ kind, restarts }) => kind !== 'instance' && restarts > 0);
  expect(restarted.map(({ id }) => id)).toEqual([]);
});

describe('a hostile app', () => {
  it('says how far it is walled in, and so do the node and the doctor', async () => {
    const { reason } = await untilIts('neighbour', { state: 'ready' });
    const { items } = await alto.client.call(computeOperations.nodes.list, {});
    expect(items[0]?.labels['alto.sandbox']).toBe(sandbox.level);
    if (sandbox.reason !== null) expect(reason).toContain(sandbox.reason);
    expect(await alto.command('nodes')).toContain(sandbox.level);
    expect(await alto.command('doctor')).toContain(sandbox.level === 'none' ? 'not sandboxed' : sandbox.level);
  }, 300_000);

  it('reads nothing of its neighbours or Alto, and reaches neither NATS, PostgreSQL, private ports nor others', async () => {
    const { workloads } = await alto.status();
    const neighbour = await untilIts('neighbour', { state: 'ready' });
    const inData = (path: string) => join(alto.dataDirectory, path);
    const files = ['keys', 'keys/admin.key', 'state/agent.json', 'run', 'instances', `instances/${neighbour.id}/app`];
    const ports = workloads.filter(({ kind }) => kind !== 'instance').flatMap((one) => Object.values(one.ports));
    // The machine as an app in a network of its own sees it.
    const gateway = neighbour.address?.ip.replace(/\.\d+\.\d+$/, '.0.1');
    const isPublic = new Set([alto.apiUrl, alto.appsUrl, alto.s3Url].map((url) => Number(new URL(url).port)));
    const hidden = ports.filter((port) => !isPublic.has(port));
    const targets = {
      files: [...files.map(inData), '/etc/shadow', '/root', `/proc/${process.pid}/environ`],
      sockets: [inData('run/agent.sock'), inData('postgres/.s.PGSQL.5432')],
      addresses: [
        ...hidden.flatMap((port) => [`127.0.0.1:${port}`, `${gateway}:${port}`]),
        `${neighbour.address?.ip}:${neighbour.address?.port}`,
      ],
    };
    expect(existsSync(inData('keys/admin.key'))).toBe(true);
    expect(hidden.length).toBeGreaterThan(5);
    await deploy('curious', { env: { TARGETS: JSON.stringify(targets) } });
    await untilIts('curious', { state: 'ready' });
    const answer = await eventually(() => ask('curious', '/try'), { withinMs, everyMs: 500 });
    const { reached, proxy } = JSON.parse(answer) as { reached: string[]; proxy: boolean };
    expect(proxy).toBe(true);
    const isFile = (target: string) => target.startsWith('/');
    if (sandbox.level === 'sandboxed') expect(reached).toEqual([]);
    if (sandbox.level === 'restricted') expect(reached.filter(isFile)).toEqual([]);
  }, 300_000);

  it('that grows without end is killed alone, out of memory', async () => {
    await deploy('growing');
    if (sandbox.unbounded.includes('memory')) return;
    const { reason } = await untilIts('growing', { reason: expect.stringContaining('out of memory') });
    expect(reason).toMatch(/its limit is 100 MiB/);
  }, 300_000);

  it('that forks without end stops at its limit', async () => {
    await deploy('forking');
    if (sandbox.unbounded.includes('processes')) return;
    await untilIts('forking', { reason: expect.stringContaining('it was at its limit of 64 processes') });
  }, 300_000);

  it('that fills its log is heard no more than is allowed, and keeps serving', async () => {
    await deploy('loud');
    const isHeld = async () => /Dropped \d+ bytes of its output/.test(await notesOf('loud'));
    await eventually(isHeld, { withinMs, everyMs: 500 });
    await eventually(async () => expect(await ask('loud')).toBe('here'), { withinMs });
  }, 300_000);

  it('that fills its disk is killed, and says so', async () => {
    await deploy('filling');
    await untilIts('filling', { reason: expect.stringContaining('its working folder had more than 64 MiB') });
  }, 300_000);

  it('that ignores SIGTERM is killed after its grace', async () => {
    await deploy('deaf');
    const { id } = await untilIts('deaf', { state: 'ready' });
    await alto.client.call(computeOperations.apps.restart, { project, app: 'deaf' });
    // The app's own log is that of its instances; the machine keeps those of the ones that are gone.
    await eventually(async () => expect(await alto.logs(id)).toContain('killed after its grace'), {
      withinMs,
      everyMs: 500,
    });
  }, 300_000);

  it('that opens its port late is served once it does; one that never does is not, and says what is missing', async () => {
    await deploy('never');
    await deploy('late');
    await untilIts('late', { state: 'ready', restarts: 0 });
    await eventually(async () => expect(await ask('late')).toBe('here'), { withinMs });
    await untilIts('never', { reason: expect.stringMatching(/^Not ready: nothing listens on/) });
    await expect(ask('never')).rejects.toThrow();
  }, 300_000);

  it('leaves nothing of itself behind when it is deleted', async () => {
    for (const name of ['growing', 'forking', 'loud', 'filling', 'deaf', 'never', 'late', 'curious'] as const)
      await alto.client.call(computeOperations.apps.delete, { project, app: name });
    await eventually(
      async () => {
        const { workloads } = await alto.status();
        expect(workloads.filter(({ kind }) => kind === 'instance').map(({ name }) => name)).toEqual(['neighbour']);
      },
      { withinMs, everyMs: 500 },
    );
  }, 300_000);
});
