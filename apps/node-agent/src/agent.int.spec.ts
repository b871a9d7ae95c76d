/** A real agent process with real workloads, killed as machines kill. Compute and storage are stood in for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { Controller, Module } from '@nestjs/common';
import {
  computeOperations,
  newId,
  nodeAgentOperations,
  storageOperations,
  type DesiredInstance,
  type InputOf,
  type ObservedInstance,
  type OutputOf,
} from '@alto/contracts';
import { defineConfig, Handles, MasterKeys, sealSecret } from '@alto/platform';
import {
  eventually,
  freePort,
  isAlive,
  startNats,
  startTestService,
  type NatsServer,
  type TestService,
} from '@alto/testing';
import { pack } from 'tar-stream';
import type { AgentStatus } from './control/control-server';
import type { StaticManifest, StaticWorkload } from './workloads/workload';

const sources = import.meta.dirname;
const repository = join(sources, '../../..');
const trialFolder = join(repository, 'node_modules', '.cache', `alto-agent-${process.pid}`);

/** Answers with its pid; `/exit?code=7` ends it, `/log?n=5` writes lines. */
const app = `
  const http = require('node:http');
  let line = 0;
  console.log('up');
  http.createServer((request, response) => {
    const url = new URL(request.url, 'http://app');
    response.end(String(process.pid) + ' ' + process.cwd());
    for (let n = Number(url.searchParams.get('n') ?? 0); n > 0; n--) console.log('line ' + ++line);
    if (url.pathname === '/exit') setTimeout(() => process.exit(Number(url.searchParams.get('code'))), 10);
  }).listen(Number(process.env.PORT), process.env.HOST);
  process.on('SIGTERM', () => process.exit(0));
`;

/** What compute and storage would say. */
const world = {
  generation: 1,
  fencingToken: 1,
  instances: [] as DesiredInstance[],
  bundleUrl: '',
  bundleSha256: '',
  reports: [] as InputOf<typeof computeOperations.nodes.sync>[],
};

@Controller()
class ComputeStandIn {
  @Handles(computeOperations.nodes.sync)
  sync(report: InputOf<typeof computeOperations.nodes.sync>): OutputOf<typeof computeOperations.nodes.sync> {
    world.reports.push(report);
    const { generation, fencingToken, instances } = world;
    return { generation, fencingToken, instances };
  }
}

@Controller()
class StorageStandIn {
  @Handles(storageOperations.bundles.locate)
  locate(): OutputOf<typeof storageOperations.bundles.locate> {
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    return { url: world.bundleUrl, sha256: world.bundleSha256, sizeBytes: 1, expiresAt };
  }
}

@Module({ controllers: [ComputeStandIn] })
class ComputeModule {}

@Module({ controllers: [StorageStandIn] })
class StorageModule {}

function instance(more: Partial<DesiredInstance> = {}): DesiredInstance {
  return {
    id: newId('instance'),
    project: newId('project'),
    app: newId('app'),
    appName: 'hello',
    revision: 1,
    want: 'running',
    bundle: null,
    command: ['node', '-e', app],
    env: {},
    ports: ['http'],
    readiness: { path: '/', timeoutMs: 10_000, deadlineMs: 60_000 },
    liveness: null,
    restart: 'always',
    resources: { cpuMillis: 100, memoryBytes: 1 << 27 },
    stop: { signal: 'SIGTERM', graceMs: 5_000 },
    ...more,
  };
}

function service(id: string, ports: readonly number[], more: Partial<StaticWorkload> = {}): StaticWorkload {
  return {
    id,
    kind: 'service',
    command: [process.execPath, '-e', app],
    env: { HOST: '127.0.0.1' },
    cwd: tmpdir(),
    slots: ports.map((port) => ({
      env: { PORT: String(port) },
      ports: { http: port },
      readiness: { kind: 'http', url: `http://127.0.0.1:${port}/` },
    })),
    instances: 1,
    dependsOn: [],
    readiness: { kind: 'none' },
    stop: { signal: 'SIGTERM', graceMs: 5_000 },
    restart: 'always',
    release: null,
    ...more,
  };
}

/** By the build tool, as a program: what is tested is what is shipped. */
async function buildLikeARelease(entry: string): Promise<void> {
  const request = { root: repository, entries: { main: entry }, outputDirectory: trialFolder };
  const program = `
    const { bundle } = await import(${JSON.stringify(join(repository, 'tools/build/bundle.ts'))});
    await bundle(${JSON.stringify(request)});`;
  const build = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
  const [code] = (await once(build, 'exit')) as [number | null];
  expect(code).toBe(0);
}

const get = async (url: string) => (await fetch(url)).text();

describe('the agent', () => {
  let nats: NatsServer;
  let compute: TestService;
  let root: string;
  let dataDir: string;
  let manifest: StaticManifest;
  let agent: ChildProcess;
  const agents: ChildProcess[] = [];
  const cleanup: (() => unknown)[] = [];

  beforeAll(async () => {
    mkdirSync(trialFolder, { recursive: true });
    cleanup.push(() => rmSync(trialFolder, { recursive: true, force: true }));
    const entry = join(trialFolder, 'trial.ts');
    writeFileSync(
      entry,
      `import { readFileSync } from 'node:fs';
       import { runAgentProcess } from ${JSON.stringify(join(sources, 'agent-process'))};
       await runAgentProcess(() => async (directory, _, choice) => {
         const manifest = JSON.parse(readFileSync(process.argv[2], 'utf8'));
         for (const workload of manifest.workloads.filter(({ release }) => release)) {
           const current = () => readFileSync(directory.releases + '/' + workload.id + '/current', 'utf8').trim();
           workload.release.version = workload.env.VERSION = choice?.versions?.[workload.id] ?? current();
         }
         return manifest;
       });`,
    );
    await buildLikeARelease(entry);
    nats = await startNats();
    cleanup.push(() => nats.stop());
    const at = { natsUrl: nats.url };
    compute = await startTestService({ name: 'compute', module: ComputeModule, config: defineConfig({}) }, at);
    cleanup.push(() => compute.stop());
    const storage = await startTestService({ name: 'storage', module: StorageModule, config: defineConfig({}) }, at);
    cleanup.push(() => storage.stop());
  });
  afterAll(async () => {
    for (const undo of cleanup.reverse()) await undo();
  });

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'alto-agent-'));
    dataDir = join(root, 'data');
    manifest = { workloads: [], agent: { nodeId: newId('node'), natsUrl: nats.url } };
    Object.assign(world, { generation: 1, fencingToken: 1, instances: [], reports: [] });
  });
  afterEach(async () => {
    if (!agents.some(isRunning)) await startAgent();
    await down();
    agents.length = 0;
    rmSync(root, { recursive: true, force: true });
  });

  const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

  async function startAgent(more: Record<string, string> = {}): Promise<void> {
    launchAgent(JSON.stringify(manifest), more);
    await eventually(async () => expect((await status()).phase).not.toBe('preparing'));
  }

  function launchAgent(told: string, more: Record<string, string> = {}): void {
    writeFileSync(join(root, 'manifest.json'), told);
    agent = spawn(process.execPath, [join(trialFolder, 'main.mjs'), join(root, 'manifest.json')], {
      env: {
        PATH: process.env.PATH,
        ALTO_DATA_DIR: dataDir,
        ALTO_NODE_SYNC_MS: '200',
        // Others than an Alto of this machine gives: an instance that is being started again leaves its port for a moment.
        ALTO_INSTANCE_PORTS: '31000-31999',
        ALTO_LOG_LEVEL: 'warn',
        ALTO_SANDBOX: 'optional',
        ALTO_NODE_BIN_DIR: join(process.execPath, '..'),
        ...more,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    agents.push(agent);
  }

  /** What of this machine is in use for this Alto: processes, control groups, bridges. */
  function tracesOnMachine(): string[] {
    const name = createHash('sha256').update(dataDir).digest('hex');
    const processes = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(dataDir));
    const groups = readdirSync('/sys/fs/cgroup').flatMap((controller) =>
      existsSync(`/sys/fs/cgroup/${controller}/alto-${name.slice(0, 12)}`) ? [controller] : [],
    );
    const bridges = readdirSync('/sys/class/net').filter((device) => device === `alto-${name.slice(0, 6)}`);
    return [...processes.map(commandOf), ...groups, ...bridges];
  }

  function commandOf(pid: string): string {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return ''; // gone meanwhile
    }
  }

  async function killAgent(): Promise<void> {
    agent.kill('SIGKILL');
    await once(agent, 'exit');
  }

  async function call(method: string, path: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const socketPath = join(dataDir, 'run/agent.sock');
    request({ socketPath, method, path }, (response) => resolve(text(response)))
      .on('error', reject)
      .end();
    return promise;
  }
  const status = async () => JSON.parse(await call('GET', '/v1/status')) as AgentStatus;
  const pidsOf = async () => new Map((await status()).workloads.map(({ id, pid }) => [id, pid]));
  const lastReport = (id: string): ObservedInstance | undefined =>
    world.reports.at(-1)?.instances.find((observed) => observed.id === id);
  const ready = (id: string) =>
    eventually(() => {
      const observed = lastReport(id);
      expect(observed).toMatchObject({ state: 'ready' });
      const { ip, port } = observed?.address ?? {};
      return { url: `http://${ip}:${port}`, port };
    });
  async function down(): Promise<string[]> {
    const lines = (await call('POST', '/v1/down')).trim().split('\n');
    if (isRunning(agent)) await once(agent, 'exit');
    return lines;
  }
  function want(...instances: DesiredInstance[]): void {
    world.generation++;
    world.instances = instances;
  }
  const readLogs = async (id: string, cursor?: string) =>
    compute.client.call(
      nodeAgentOperations.logs.read,
      { instances: [id], lines: 1_000, cursor },
      { instance: manifest.agent?.nodeId },
    );

  it('leaves nothing behind on the machine when it cannot start', async () => {
    launchAgent('no manifest', { ALTO_LOG_LEVEL: 'silent' });
    const [code] = (await once(agent, 'exit')) as [number | null];
    expect(code).toBe(1);
    await eventually(() => expect(tracesOnMachine()).toEqual([]));
  });

  it('gives an instance its secrets, opened in its process and nowhere else', async () => {
    const key = Buffer.alloc(32, 5).toString('base64');
    const value = 'correct-horse-battery-staple';
    mkdirSync(join(dataDir, 'keys'), { recursive: true });
    writeFileSync(join(dataDir, 'keys/master.key'), `${key}\n`, { mode: 0o600 });
    const tells = app.replace("String(process.pid) + ' ' + process.cwd()", 'String(process.env.TOKEN)');
    const holder = instance({ command: ['node', '-e', tells], env: { OTHER: 'in clear' } });
    const place = { project: holder.project, name: 'TOKEN', version: 2 };
    const sealed = sealSecret(MasterKeys.parse(key, 'the test'), value, place);
    want({ ...holder, secretEnv: [{ name: 'TOKEN', version: 2, sealed }] });
    await startAgent({ ALTO_LOG_LEVEL: 'silent' });
    const { url } = await ready(holder.id);
    expect(await get(url)).toBe(value);

    // A file that is being replaced goes while it is looked for.
    const contents = await eventually(() =>
      readdirSync(dataDir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1')),
    );
    expect(contents.some((content) => content.includes('in clear'))).toBe(true);
    expect(contents.filter((content) => content.includes(value))).toEqual([]);
    expect(JSON.stringify([await status(), world.reports])).not.toContain(value);
  });

  it('runs a worker, which nobody asks anything, and gives an app its further ports', async () => {
    const worker = instance({
      ports: [],
      command: ['node', '-e', 'setInterval(() => console.log(process.env.PORT), 50)'],
    });
    const tells = app.replace('}).listen(', "}).on('error', () => process.exit(9)).listen(");
    const metrics =
      "; http.createServer((_, answer) => answer.end('metrics')).listen(process.env.PORT_MY_METRICS, process.env.HOST)";
    const two = instance({ ports: ['http', 'my-metrics'], command: ['node', '-e', tells + metrics] });
    want(worker, two);
    await startAgent();
    const { port } = await ready(two.id);
    const further = lastReport(two.id)!.ports['my-metrics']!;
    expect(further.port).not.toBe(port);
    expect(await get(`http://${further.ip}:${further.port}`)).toBe('metrics');
    const idle = await eventually(() => {
      const observed = lastReport(worker.id);
      expect(observed).toMatchObject({ state: 'ready', address: null, ports: {} });
      return observed!;
    });
    const before = await pidsOf();
    await killAgent();
    await startAgent();
    await eventually(() => expect(world.reports.at(-1)!.instances).toHaveLength(2));
    expect(await pidsOf()).toEqual(before);
    expect(lastReport(two.id)!.ports['my-metrics']).toEqual(further);
    const { lines } = await readLogs(worker.id);
    expect(lines[0]!.text).toBe('undefined');
    process.kill(before.get(worker.id)!, 'SIGKILL');
    await eventually(() =>
      expect(lastReport(worker.id)).toMatchObject({ state: 'ready', restarts: idle.restarts + 1 }),
    );
  });

  it('tells compute at once why an instance is not ready, however far off its next report', async () => {
    const answer = 'setTimeout(() => response.writeHead(503).end(), 700)';
    const late = instance({ command: ['node', '-e', app.replace(/response\.end\(.*\);/, `${answer};`)] });
    want(late);
    await startAgent({ ALTO_NODE_SYNC_MS: '60000' });
    await eventually(() =>
      expect(lastReport(late.id)).toMatchObject({ state: 'starting', reason: expect.stringMatching(/answered 503/) }),
    );
  });

  it('adds a master key, and tells compute which keys it has and which of them its disk needs', async () => {
    const key = Buffer.alloc(32, 5).toString('base64');
    mkdirSync(join(dataDir, 'keys'), { recursive: true });
    writeFileSync(join(dataDir, 'keys/master.key'), `${key}\n`, { mode: 0o600 });
    const [old] = MasterKeys.parse(key, 'the test').ids;
    const holder = instance();
    const place = { project: holder.project, name: 'TOKEN', version: 1 };
    const sealed = sealSecret(MasterKeys.parse(key, 'the test'), 'value', place);
    want({ ...holder, secretEnv: [{ name: 'TOKEN', version: 1, sealed }] });
    await startAgent();
    await ready(holder.id);
    const { id } = JSON.parse(await call('POST', '/v1/master-keys')) as { id: string };
    await eventually(() => expect(world.reports.at(-1)).toMatchObject({ masterKeys: [old, id], sealedWith: [old] }));
    // What is sealed anew is taken over, and the instance goes on as it is.
    const pid = (await pidsOf()).get(holder.id);
    const both = MasterKeys.fromFile(join(dataDir, 'keys/master.key'));
    want({ ...holder, secretEnv: [{ name: 'TOKEN', version: 1, sealed: sealSecret(both, 'value', place) }] });
    await eventually(() => expect(world.reports.at(-1)).toMatchObject({ sealedWith: [id] }));
    expect((await pidsOf()).get(holder.id)).toBe(pid);
  });

  it('says what keeps the secrets of an instance from being opened', async () => {
    const holder = instance({ secretEnv: [{ name: 'TOKEN', version: 2, sealed: null }] });
    want(holder);
    await startAgent({ ALTO_LOG_LEVEL: 'silent' });
    await eventually(() => expect(lastReport(holder.id)?.reason).toContain('master.key cannot be read (ENOENT)'));
  });

  it('adopts everything after SIGKILL: the same PIDs, ends known with their codes, logs whole', async () => {
    manifest = { ...manifest, workloads: [service('web', [await freePort()])] };
    const [stays, ends, dies] = [instance(), instance(), instance()];
    want(stays, ends, dies);
    await startAgent();
    const [first, second, third] = [await ready(stays.id), await ready(ends.id), await ready(dies.id)];
    await eventually(async () => expect((await status()).ready).toBe(true));
    const before = await pidsOf();

    await killAgent();
    await get(`${first.url}/log?n=500`);
    await get(`${second.url}/exit?code=7&n=3`);
    process.kill(before.get(dies.id) ?? 0, 'SIGKILL');
    await eventually(() => expect(isAlive(before.get(ends.id) ?? 0)).toBe(false));
    world.reports.length = 0;
    await startAgent();

    await eventually(() => expect(lastReport(ends.id)).toMatchObject({ exitCode: 7, restarts: 1, state: 'ready' }));
    await eventually(() =>
      expect(lastReport(dies.id)).toMatchObject({ exitSignal: 'SIGKILL', restarts: 1, state: 'ready' }),
    );
    expect(world.reports.every(({ instances }) => instances.find(({ id }) => id === stays.id)?.state === 'ready')).toBe(
      true,
    );
    const after = await pidsOf();
    expect(after.get(stays.id)).toBe(before.get(stays.id));
    expect(after.get('web.0')).toBe(before.get('web.0'));
    expect(after.get(ends.id)).not.toBe(before.get(ends.id));
    expect(lastReport(ends.id)?.address?.port).toBe(second.port);
    expect(lastReport(dies.id)?.address?.port).toBe(third.port);
    const lines = (await readLogs(stays.id)).lines.map((line) => line.text);
    expect(lines).toEqual(['up', ...Array.from({ length: 500 }, (_, n) => `line ${n + 1}`)]);
    const ended = (await readLogs(ends.id)).lines;
    expect(ended.filter(({ stream }) => stream === 'output').map((line) => line.text)).toEqual([
      'up',
      'line 1',
      'line 2',
      'line 3',
      'up',
    ]);
    expect(ended.find(({ stream }) => stream === 'alto')?.text).toMatch(/^Ended with code 7/);
  });

  it('refuses an older generation and an older fencing token, and keeps what it runs', async () => {
    const kept = instance();
    want(kept);
    world.fencingToken = 5;
    await startAgent();
    await ready(kept.id);
    const { generation } = world;
    const pid = (await pidsOf()).get(kept.id);
    for (const older of [
      { generation: generation - 1, fencingToken: 5 },
      { generation, fencingToken: 4 },
    ]) {
      Object.assign(world, older, { instances: [], reports: [] });
      await eventually(() => expect(world.reports.length).toBeGreaterThan(3));
      expect((await pidsOf()).get(kept.id)).toBe(pid);
    }
    await killAgent();
    world.reports.length = 0;
    await startAgent();
    await eventually(() => expect(world.reports.length).toBeGreaterThan(3));
    expect(world.reports.at(-1)?.seenGeneration).toBe(generation);
    expect((await pidsOf()).get(kept.id)).toBe(pid);
  });

  it('stops what is no longer wanted, reports its end, and gives its address back only then', async () => {
    // It ends only when the test says so.
    const slow = instance({
      command: ['node', '-e', app.replace('process.exit(0)', 'undefined')],
      stop: { signal: 'SIGTERM', graceMs: 60_000 },
    });
    want(slow);
    await startAgent();
    const { url, port } = await ready(slow.id);
    want({ ...slow, want: 'stopped' });
    await eventually(() => expect(lastReport(slow.id)?.state).toBe('stopping'));
    const ports = () => JSON.parse(readFileSync(join(dataDir, 'state/agent.json'), 'utf8')).state.ports;
    expect(ports()).toEqual({ [slow.id]: port });
    await get(`${url}/exit?code=0`);
    await eventually(() => expect(lastReport(slow.id)).toMatchObject({ state: 'exited', exitCode: 0 }));
    expect(ports()).toEqual({ [slow.id]: port });
    want();
    await eventually(() => expect(ports()).toEqual({}));
    expect((await readLogs(slow.id)).lines.map(({ text }) => text)).toEqual([
      'up',
      'No longer wanted: told to stop by SIGTERM',
      'Ended with code 0',
    ]);
    const next = instance();
    want(next);
    expect((await ready(next.id)).port).not.toBe(port);
  });

  it('kills after its grace what does not stop, with all its processes, and replaces what is not alive', async () => {
    const deaf = "process.on('SIGTERM', () => undefined);";
    const hangs = instance({
      command: ['node', '-e', `${app.replace("process.on('SIGTERM', () => process.exit(0));", deaf)}`],
      liveness: { path: '/exit?code=-', intervalMs: 100, timeoutMs: 10_000, failuresMax: 2 },
      stop: { signal: 'SIGTERM', graceMs: 500 },
    });
    hangs.command[2] = hangs.command[2]!.replace(
      'response.end(',
      'if (url.search) response.statusCode = 500; response.end(',
    );
    hangs.command[2] = hangs.command[2]!.replace("url.pathname === '/exit'", 'false');
    want(hangs);
    await startAgent();
    await eventually(() => expect(lastReport(hangs.id)?.restarts).toBeGreaterThan(0));
    const words = (await readLogs(hangs.id)).lines.filter(({ stream }) => stream === 'alto').map(({ text }) => text);
    const dead = 'Liveness failed 2 times in a row: /exit?code=- answered 500; ';
    expect(words.slice(0, 2)).toEqual([`${dead}told to stop by SIGTERM`, `${dead}killed after its grace`]);
    expect(words[2]).toContain('starts again in 1 s');
  });

  it('says in words which limit ended an instance, and how far it is walled in', async () => {
    const serve = app.replaceAll("console.log('up');", '');
    const hostile = (text: string) =>
      instance({ command: ['node', '-e', `${serve};${text}`], resources: { cpuMillis: 100, memoryBytes: 100 << 20 } });
    const kept = instance();
    const growing = hostile(`const all = []; setInterval(() => all.push(Buffer.alloc(8 << 20, 1)), 5);`);
    const filling = hostile(
      `const block = Buffer.alloc(1 << 20, 1);
       setInterval(() => require('node:fs').appendFileSync(process.env.TMPDIR + '/waste', block), 20);`,
    );
    want(kept, growing, filling);
    await startAgent({ ALTO_INSTANCE_DISK_BYTES_MAX: String(8 << 20), ALTO_LOG_LEVEL: 'silent' });
    const { sandbox } = await status();
    const reasonOf = ({ id }: DesiredInstance) => lastReport(id)?.reason;
    const patience = { withinMs: 60_000 };
    if (!sandbox.unbounded.includes('memory'))
      await eventually(() => expect(reasonOf(growing)).toContain('out of memory (its limit is 100 MiB)'), patience);
    await eventually(() => expect(reasonOf(filling)).toContain('its working folder had more than 8 MiB'), patience);
    await ready(kept.id);
    expect(lastReport(kept.id)).toMatchObject({ restarts: 0 });
    if (sandbox.reason !== null) expect(reasonOf(kept)).toContain(sandbox.reason);
    expect(world.reports.at(-1)?.labels).toEqual({ 'alto.sandbox': sandbox.level });
  }, 150_000);

  it('starts no app without a sandbox unless that is allowed, and says what to do; the agent itself goes on', async () => {
    const one = instance();
    want(one);
    const without = { ALTO_BUBBLEWRAP: '/usr/bin/false', ALTO_LOG_LEVEL: 'silent' };
    await startAgent({ ...without, ALTO_SANDBOX: 'auto' });
    const words =
      /Apps are not started without a sandbox.*bubblewrap does not work here: it ended with code 1.*ALTO_SANDBOX=optional/;
    await eventually(() => expect(lastReport(one.id)).toMatchObject({ reason: expect.stringMatching(words) }));
    expect((await status()).sandbox).toMatchObject({ level: 'none', refusal: expect.stringMatching(words) });
    expect(world.reports.at(-1)?.labels).toEqual({ 'alto.sandbox': 'missing' });
    expect((await pidsOf()).get(one.id)).toBeFalsy();
    await killAgent();
    await startAgent({ ...without, ALTO_SANDBOX: 'optional' });
    await ready(one.id);
    expect(lastReport(one.id)?.reason).toMatch(/not sandboxed: bubblewrap does not work here/);
    expect(world.reports.at(-1)?.labels).toEqual({ 'alto.sandbox': 'none' });
  }, 90_000);

  it('goes on from its disk without a bus: what crashes is started again', async () => {
    const one = instance();
    want(one);
    await startAgent();
    const { url } = await ready(one.id);
    manifest = { ...manifest, agent: { nodeId: newId('node'), natsUrl: 'nats://127.0.0.1:1' } };
    await killAgent();
    await startAgent();
    await get(`${url}/exit?code=1`);
    await eventually(async () => {
      const found = (await status()).workloads.find(({ id }) => id === one.id);
      expect(found).toMatchObject({ phase: 'ready', restarts: 1 });
    });
    expect(await get(url)).toMatch(/^\d+ /);
  });

  it('runs a bundle in a throw-away folder, and refuses one that is not what was promised', async () => {
    const files = pack();
    files.entry({ name: 'server/main.js', mode: 0o755 }, `require('node:fs').writeFileSync('made', 'x');${app}`);
    files.finalize();
    const archive = await buffer(files.pipe(createGzip()));
    const host = await serve(archive);
    const sha256 = createHash('sha256').update(archive).digest('hex');
    world.bundleUrl = `http://127.0.0.1:${(host.address() as AddressInfo).port}/`;
    const reference = { id: newId('bundle'), sha256, sizeBytes: archive.length };
    const command = ['node', 'server/main.js'];
    const good = instance({ command, bundle: reference });
    const bad = instance({ command, bundle: { ...reference, sha256: sha256.replaceAll(/[0-7]/g, '8') } });
    want(good, bad);
    await startAgent();
    const { url } = await ready(good.id);
    const cwd = (await get(url)).split(' ')[1] ?? '';
    const folder = join(dataDir, 'instances', good.id, 'app');
    // A sandbox has it where all apps have theirs.
    expect([folder, '/app']).toContain(cwd);
    expect(readFileSync(join(folder, 'made'), 'utf8')).toBe('x');
    await eventually(() => expect(lastReport(bad.id)?.reason).toMatch(/has another SHA-256/));
    host.close();
    await get(`${url}/exit?code=0`);
    await eventually(() => expect(lastReport(good.id)).toMatchObject({ restarts: 1, state: 'ready' }));
  });

  async function serve(archive: Buffer): Promise<Server> {
    const host = createServer((_, response) => response.end(archive)).listen(0, '127.0.0.1');
    await once(host, 'listening');
    return host;
  }

  it('replaces a service beside the old one, and remembers where it runs', async () => {
    const [one, two] = [await freePort(), await freePort()];
    manifest = { ...manifest, workloads: [service('web', [one, two])] };
    await startAgent();
    await eventually(async () => expect((await status()).ready).toBe(true));
    const old = (await pidsOf()).get('web.0');
    const lines = (await call('POST', '/v1/services/web/restart')).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ done: true });
    expect(isAlive(old ?? 0)).toBe(false);
    expect(await get(`http://127.0.0.1:${two}/`)).toMatch(/^\d+ /);
    await killAgent();
    await startAgent();
    expect([...(await pidsOf()).keys()]).toEqual(['web.1']);
    expect(await call('POST', '/v1/services/unknown/restart')).toContain('"code":"not_found"');
  });

  it('updates a service to another release and back, also when the agent is killed in between', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const mayListen = join(root, 'may-listen');
    const slowInTwo = `
      const http = require('node:http');
      const server = http.createServer((_, response) => response.end(process.env.VERSION));
      const listen = () => {
        if (process.env.VERSION === '2' && !require('node:fs').existsSync(${JSON.stringify(mayListen)}))
          return setTimeout(listen, 50);
        server.listen(Number(process.env.PORT), '127.0.0.1');
      };
      listen();
      process.on('SIGTERM', () => process.exit(0));`;
    const command = [process.execPath, '-e', slowInTwo];
    const release = { service: 'web', version: '1' };
    manifest = { ...manifest, workloads: [service('web', [one, two], { command, release })] };
    for (const version of ['1', '2']) {
      mkdirSync(join(dataDir, 'releases', 'web', version), { recursive: true });
      writeFileSync(join(dataDir, 'releases', 'web', version, 'manifest.json'), '{}');
    }
    writeFileSync(join(dataDir, 'releases', 'web', 'current'), '1');
    const current = () => readFileSync(join(dataDir, 'releases', 'web', 'current'), 'utf8').trim();
    await startAgent();
    await eventually(async () => expect((await status()).ready).toBe(true));

    const asked = call('POST', '/v1/services/web/update?to=2').catch(() => 'cut off');
    const begun = await eventually(async () => {
      const pid = (await pidsOf()).get('web.1');
      expect(pid).toBeGreaterThan(0);
      return pid;
    });
    await killAgent();
    await asked;
    expect(current()).toBe('1');
    expect(await get(`http://127.0.0.1:${one}/`)).toBe('1');
    await startAgent();
    writeFileSync(mayListen, '');
    await eventually(async () => expect([...(await pidsOf())]).toEqual([['web.1', begun]]));
    expect(await get(`http://127.0.0.1:${two}/`)).toBe('2');
    expect(current()).toBe('2');

    // Refused until the update that was gone on with is over.
    await eventually(async () => expect(await call('POST', '/v1/services/web/rollback')).toContain('"done":true'));
    expect(await get(`http://127.0.0.1:${one}/`)).toBe('1');
    expect(JSON.parse(await call('GET', '/v1/services/web/versions'))).toMatchObject({ current: '1', previous: '2' });
    expect(await call('POST', '/v1/services/web/update?to=9')).toContain('no version 9 of web');
  });

  it('has the sandbox that it was once told of, also when it is started without its path', async () => {
    const ofSystem = { PATH: '/usr/bin:/bin' };
    const unpacked = join(root, 'bwrap');
    writeFileSync(unpacked, '#!/bin/sh\necho "bwrap: of a test" >&2\nexit 1\n', { mode: 0o755 });
    await startAgent({ ...ofSystem, ALTO_BUBBLEWRAP: unpacked });
    const { reason } = (await status()).sandbox;
    expect(reason).toContain('of a test');
    await killAgent();
    await startAgent(ofSystem);
    expect((await status()).sandbox.reason).toBe(reason);
  });

  it('is started again when it is killed, also after its keeper was, and not when it ends on purpose', async () => {
    manifest = { ...manifest, workloads: [service('web', [await freePort()])] };
    await startAgent({ ALTO_KEEPER: 'on' });
    await eventually(async () => expect((await status()).ready).toBe(true));
    const pids = await pidsOf();
    const keeper = () => Number(readFileSync(join(dataDir, 'run/keeper'), 'utf8').split(' ')[0]);
    const back = (killed: number) =>
      eventually(async () => {
        const { pid } = await status();
        expect(pid).not.toBe(killed);
        return pid;
      });
    const killAndAwait = async () => {
      const { pid } = await status();
      process.kill(pid, 'SIGKILL');
      return await back(pid);
    };

    await killAndAwait();
    const first = keeper();
    process.kill(first, 'SIGKILL');
    await eventually(() => expect(keeper()).not.toBe(first));
    const last = await killAndAwait();
    await eventually(async () => expect(await pidsOf()).toEqual(pids));

    const second = keeper();
    process.kill(last, 'SIGTERM');
    await eventually(() => expect([last, second].map(isAlive)).toEqual([false, false]));
    expect(isAlive(pids.get('web.0') ?? 0)).toBe(true);
  });

  it('ends alone on SIGTERM, lets no second agent in, and `down` leaves nothing behind', async () => {
    manifest = {
      ...manifest,
      workloads: [
        service('store', [await freePort()], { kind: 'database' }),
        service('web', [await freePort()], { dependsOn: ['store'] }),
      ],
    };
    const one = instance();
    want(one);
    await startAgent();
    await ready(one.id);
    await eventually(async () => expect((await status()).ready).toBe(true));
    const pids = [...(await pidsOf()).values()].map((pid) => pid ?? 0);
    const first = agent;
    const second = spawn(process.execPath, [join(trialFolder, 'main.mjs'), join(root, 'manifest.json')], {
      env: { PATH: process.env.PATH, ALTO_DATA_DIR: dataDir, ALTO_LOG_LEVEL: 'silent' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(second, 'exit');
    const complaint = await text(second.stderr);
    expect(complaint).toMatch(new RegExp(`An agent with pid ${first.pid} already runs`));
    expect((await ended)[0]).toBe(75);
    first.kill('SIGTERM');
    await once(first, 'exit');
    expect(first.exitCode).toBe(0);
    expect(pids.every(isAlive)).toBe(true);
    await startAgent();
    expect([...(await pidsOf()).values()].sort()).toEqual([...pids].sort());
    const lines = (await down()).map((line) => JSON.parse(line) as { message?: string; done?: boolean });
    expect(lines.map(({ message }) => message)).toEqual([
      'Stopping',
      'Stopped hello',
      'Stopped web',
      'Stopped store',
      undefined,
    ]);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(agent.exitCode).toBe(0);
  });
});
