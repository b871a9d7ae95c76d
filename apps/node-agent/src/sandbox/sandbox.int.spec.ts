/** Real sandboxes, as far as this machine has them: what one cannot be is named and not tried. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { eventually } from '@alto/testing';
import { ProcessRuntime } from '../runtime/process/process-runtime';
import type { Launch, RunView } from '../runtime/runtime';
import { runtimeConformance, type Script } from '../runtime/runtime.conformance';
import { findPrograms } from './programs';
import { chooseAppNetwork } from './machine-network';
import { Sandbox, type SandboxedInstance, type SandboxOptions } from './sandbox';

/** Of the apps. */
const PATH = `${dirname(process.execPath)}:/usr/bin:/bin`;
/** Unpacked for the tests where they are not installed. */
const found = findPrograms(process.env.PATH ?? '');
let nextPort = 21_000 + Math.floor(Math.random() * 7_000);

async function makeSandbox(more: Partial<SandboxOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'alto-sandbox-'));
  await chmod(root, 0o711);
  const name = createHash('sha256').update(root).digest('hex').slice(0, 6);
  const server = await listen();
  const { port } = server.address() as AddressInfo;
  const { network, resolv } = chooseAppNetwork({ name, record: join(root, 'network'), publicPorts: [port] });
  const options: SandboxOptions = {
    policy: 'auto',
    folder: join(root, 'sandbox'),
    programs: found,
    network,
    ports: new Map(),
    programFolders: [dirname(process.execPath)],
    readablePaths: [],
    firstUid: 2_000_000_000,
    resolv,
    unbounded: [],
    ...more,
  };
  const sandbox = await Sandbox.open(options);
  const runtimeOptions = {
    folder: join(root, 'workloads'),
    scripts: join(root, 'scripts'),
    name,
    logBytesMax: 1 << 20,
  };
  const runtime = await ProcessRuntime.open(runtimeOptions);
  const instances = new Map<string, SandboxedInstance>();
  const instanceOf = (id: string) => {
    const folder = join(root, 'instances', id);
    const folders = { app: join(folder, 'app'), home: join(folder, 'home'), temporary: join(folder, 'tmp') };
    const made = instances.get(id) ?? { name: 'shop', port: nextPort++, furtherPorts: [], root: folder, folders };
    instances.set(id, made);
    return made;
  };
  const prepare = async (id: string) => {
    const instance = instanceOf(id);
    for (const folder of Object.values(instance.folders)) await mkdir(folder, { recursive: true });
    await sandbox.prepare(instance);
    return instance;
  };
  const confined = (id: string, command: readonly string[], env: Record<string, string> = {}): Launch =>
    sandbox.confine({ id, command, env: { PATH, ...env }, cwd: root }, instanceOf(id));
  const clear = async () => {
    for (const id of await runtime.list()) await runtime.kill(id);
    await eventually(async () => {
      for (const id of await runtime.list()) await runtime.forget(id);
    });
  };
  const dispose = async () => {
    await clear();
    await runtime.close();
    await sandbox.close();
    server.close();
    await rm(root, { recursive: true, force: true });
  };
  return { root, name, port, options, sandbox, runtime, runtimeOptions, prepare, confined, clear, dispose };
}

type Made = Awaited<ReturnType<typeof makeSandbox>>;

/** What stands for the load balancer, and for everything else that listens on this machine. */
async function listen(): Promise<Server> {
  const server = createServer((_request, response) => response.end('the machine'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function program(script: Script): string {
  const lines = (script.output ?? []).map((line) => `console.log(${JSON.stringify(line)});`);
  const leave = `require('node:child_process').spawn('sleep', ['300'], { detached: true, stdio: 'ignore' }).unref();`;
  return [
    ...(script.ignoresStopSignals ? [`process.on('SIGTERM', () => {});`] : []),
    ...(script.leavesProcess ? [leave] : []),
    ...lines,
    `setTimeout(() => process.exit(${script.exitCode ?? 0}), ${script.runForMs ?? 300_000});`,
  ].join('\n');
}

const level = await (async () => {
  const first = await makeSandbox();
  await first.dispose();
  return first.sandbox.level;
})();

if (level !== 'none') {
  const shared = await makeSandbox();
  afterAll(() => shared.dispose());
  runtimeConformance(`ProcessRuntime, ${level},`, async () => {
    for (const id of ['a', 'stays', 'ends']) await shared.prepare(id);
    return {
      runtime: shared.runtime,
      launch: (id, script) => shared.confined(id, [process.execPath, '-e', program(script)]),
      reopen: () => ProcessRuntime.open(shared.runtimeOptions),
      dispose: shared.clear,
    };
  });
}

describe('Sandbox', () => {
  let made: Made;
  afterEach(() => made.dispose());

  /** Where the level is lower, nothing of it is promised. */
  const whereSandboxed = (name: string, test: () => Promise<void>) =>
    (level === 'sandboxed' ? it : it['skip'])(
      level === 'sandboxed' ? name : `${name} (this machine: ${level})`,
      async () => {
        made = await makeSandbox();
        expect(made.sandbox.reason).toBeNull();
        await test();
      },
    );

  const outputOf = async (id: string) =>
    (await made.runtime.logs.read(id, { linesMax: 200 })).lines.map(({ text }) => text);

  const until = <S extends RunView['state']>(id: string, state: S) =>
    eventually(
      async () => {
        const view = await made.runtime.observe(id);
        expect(view.state).toBe(state);
        return view as Extract<RunView, { state: S }>;
      },
      { withinMs: 30_000 },
    );

  const run = async (id: string, text: string, env?: Record<string, string>) => {
    await made.prepare(id);
    await made.runtime.start(made.confined(id, ['/bin/sh', '-c', text], env));
    await until(id, 'ended');
    return await outputOf(id);
  };

  whereSandboxed('shows an app its own files and processes, the system for reading, and nothing else', async () => {
    await writeFile(join(made.root, 'key'), 'of Alto', { mode: 0o644 });
    await made.prepare('neighbour');
    await writeFile(join(made.root, 'instances/neighbour/app/data'), 'private', { mode: 0o644 });
    const lines = await run(
      'a',
      `id -u; pwd; getent hosts shop >&2; touch made /tmp/made $HOME/made && echo written
       cat ${made.root}/key ${made.root}/instances/neighbour/app/data; ls ${dirname(made.root)} | wc -l
       ls / | tr '\\n' ' '; echo; touch /usr/x /etc/x /x; ps -e --no-headers -o user:20 | sort -u | tr '\\n' ' '; echo
       cat /etc/shadow; ls /root /run; cat /proc/1/environ; echo end`,
      { HOME: '/home/app' },
    );
    const uid = Number(lines[0]);
    expect(uid).toBeGreaterThan(2_000_000_000);
    expect(lines[1]).toBe('/app');
    expect(lines[2]).toMatch(/^10\.\d+\.\d+\.\d+ +shop/);
    expect(lines[3]).toBe('written');
    const text = lines.join('\n');
    expect(text).not.toContain('of Alto');
    expect(text).not.toContain('private');
    expect(text).toContain(`${made.root}/key: No such file`);
    const roots = lines
      .find((line) => line.startsWith('app '))
      ?.trim()
      .split(' ');
    const [, rootOfNode] = process.execPath.split('/');
    const system = ['bin', 'dev', 'etc', 'lib', 'lib32', 'lib64', 'libx32', 'proc', 'run', 'sbin', 'usr', 'var'];
    const known = new Set(['app', 'home', 'tmp', ...system, rootOfNode]);
    expect(roots).toEqual(expect.arrayContaining(['app', 'bin', 'dev', 'etc', 'home', 'proc', 'tmp', 'usr']));
    expect(roots?.filter((name) => !known.has(name))).toEqual([]);
    expect(text.match(/cannot touch/g)).toHaveLength(3);
    expect(text).toContain('/etc/shadow: No such file');
    expect(text).toContain('/proc/1/environ: Permission denied');
  });

  whereSandboxed('takes every privilege, and refuses calls that reach far into the kernel', async () => {
    const lines = await run(
      'a',
      `grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; unshare -U true; mount -t tmpfs x /tmp; echo end`,
    );
    expect(lines.map((line) => line.replace(/\s+/, ' ')).slice(0, 4)).toEqual(
      ['CapBnd: 0000000000000000', 'CapEff: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2'].sort(
        (left, right) =>
          ['CapE', 'CapB', 'NoNe', 'Secc'].indexOf(left.slice(0, 4)) -
          ['CapE', 'CapB', 'NoNe', 'Secc'].indexOf(right.slice(0, 4)),
      ),
    );
    expect(lines.slice(4).join()).toMatch(/unshare failed.*not permitted/);
  });

  whereSandboxed('hands variables over unseen, loader variables included', async () => {
    const lines = await run('a', `echo "$WORD|$LD_BIND_NOW|$PORT"; cat /proc/*/cmdline | tr '\\0' ' '`, {
      WORD: 'a "secret"\nof two lines',
      LD_BIND_NOW: '1',
      PORT: '1',
    });
    expect(lines.slice(0, 2)).toEqual(['a "secret"', 'of two lines|1|1']);
    expect(lines.slice(2).join()).not.toContain('secret');
  });

  whereSandboxed('lets an app open its output by name, and keeps the end of one killed for its memory', async () => {
    expect(await run('a', 'echo one >>/dev/stdout; echo two >>/dev/stderr')).toEqual(['one', 'two']);
    await made.prepare('greedy');
    const grower = `const kept = []; setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 5);`;
    const launch = made.confined('greedy', [process.execPath, '-e', grower]);
    const limits = {
      memoryBytes: 96 << 20,
      cpuMillis: 100,
      cpuMillisMax: 1_000,
      processesMax: 64,
      logBytesPerSecond: 1 << 20,
    };
    await made.runtime.start({ ...launch, limits });
    const { exit } = await until('greedy', 'ended');
    expect(exit.signal).toBe('SIGKILL');
  });

  whereSandboxed(
    'gives an app an address of its own: it is reached there, and reaches the public ports alone',
    async () => {
      const secret = await listen();
      const { port: closed } = secret.address() as AddressInfo;
      const everywhere = createServer((_request, response) => response.end('the machine'));
      await new Promise<void>((resolve) => everywhere.listen(0, '0.0.0.0', resolve));
      const { port: open } = everywhere.address() as AddressInfo;
      const app = `
      const { get, createServer } = require('node:http');
      const ask = (url) => new Promise((done) => get(url, { timeout: 3000 }, (answer) => { answer.resume(); done(answer.statusCode); })
        .on('timeout', function () { this.destroy(new Error('timeout')); }).on('error', (error) => done(error.code ?? error.message)));
      createServer(async (request, response) => response.end(JSON.stringify(request.url === '/' ? 'the app' : await ask('http://' + request.url.slice(1)))))
        .listen(process.env.PORT, process.env.HOST);`;
      const addresses: string[] = [];
      for (const id of ['a', 'b']) {
        const { port } = await made.prepare(id);
        const ip = made.sandbox.addressOf(port) ?? '';
        addresses.push(`${ip}:${port}`);
        await made.runtime.start(made.confined(id, [process.execPath, '-e', app], { PORT: String(port), HOST: ip }));
      }
      const through = async (id: number, target: string) => {
        const answer = await fetch(`http://${addresses[id]}/${target}`, { signal: AbortSignal.timeout(10_000) });
        return (await answer.json()) as number | string;
      };
      try {
        const gateway = made.sandbox.gateway ?? '';
        await eventually(async () => expect(await through(0, `${gateway}:${made.port}/`)).toBe(200), {
          withinMs: 20_000,
        });
        await eventually(async () => expect(await through(1, `${addresses[1]}/`)).toBe(200), { withinMs: 20_000 });
        const refused = [`127.0.0.1:${made.port}`, `127.0.0.1:${closed}`, `${gateway}:${closed}`, `${gateway}:${open}`];
        for (const target of [...refused, addresses[1] ?? '', '169.254.169.254:80'])
          expect([target, await through(0, `${target}/`)]).toEqual([target, expect.any(String)]);
      } finally {
        secret.close();
        everywhere.close();
      }
    },
  );

  whereSandboxed('shows the same process until the end of one whose shim was killed is known', async () => {
    await made.prepare('a');
    await made.runtime.start(made.confined('a', ['sleep', '300']));
    const { pid } = await until('a', 'running');
    const [shim] = (await readFile(join(made.root, 'workloads/a/1/shim'), 'utf8')).split(' ');
    process.kill(Number(shim), 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    const seen = new Set<number>();
    await eventually(
      async () => {
        const view = await made.runtime.observe('a');
        if (view.state === 'running') seen.add(view.pid);
        expect(view).toMatchObject({ state: 'ended', exit: { code: null, signal: null }, leftovers: 0 });
      },
      { withinMs: 30_000 },
    );
    expect([...seen]).toEqual([pid]);
  });

  whereSandboxed(
    'keeps places over a restart of the agent, removes those of nobody, and leaves nothing behind',
    async () => {
      const kept = await made.prepare('kept');
      const gone = await made.prepare('gone');
      await made.runtime.start(made.confined('kept', ['sleep', '300']));
      const { pid } = await until('kept', 'running');
      const namespace = (port: number) => `/run/netns/alto-${made.name}-${port}`;
      expect([kept.port, gone.port].map((port) => existsSync(namespace(port)))).toEqual([true, true]);
      const successor = await Sandbox.open({ ...made.options, ports: new Map([[kept.port, []]]) });
      expect([kept.port, gone.port].map((port) => existsSync(namespace(port)))).toEqual([true, false]);
      expect(successor.level).toBe('sandboxed');
      const reopened = await ProcessRuntime.open(made.runtimeOptions);
      expect(await reopened.observe('kept')).toMatchObject({ state: 'running', pid });
      await made.runtime.kill('kept');
      await until('kept', 'ended');
      await successor.close();
      expect(execFileSync('ip', ['link'], { encoding: 'utf8' })).not.toContain(made.name);
      expect(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })).not.toContain(made.name);
      expect((await readFile('/proc/mounts', 'utf8')).includes(made.name)).toBe(false);
    },
  );
});

describe('levels of the sandbox', () => {
  let made: Made;
  afterEach(() => made.dispose());
  const prepareOne = () => made.prepare('a');
  const missing = process.platform === 'linux' ? 'bubblewrap is not installed' : 'bubblewrap runs on Linux alone';

  it('is none without bubblewrap: nothing is started, and it says what to do', async () => {
    made = await makeSandbox({ programs: {} });
    expect(made.sandbox).toMatchObject({ level: 'none', reason: missing });
    expect(made.sandbox.status.refusal).toContain(missing);
    await expect(prepareOne()).rejects.toThrow(/not started without a sandbox.*ALTO_SANDBOX=optional/);
  });

  it('is none without bubblewrap where the operator allows it, and says so', async () => {
    made = await makeSandbox({ policy: 'optional', programs: {} });
    expect(made.sandbox.status).toMatchObject({ level: 'none', reason: missing, refusal: null });
    await prepareOne();
    expect(made.confined('a', ['true'])).not.toHaveProperty('confinement');
  });

  it('is as strong as can be where the operator would do without', async () => {
    made = await makeSandbox({ policy: 'optional' });
    expect(made.sandbox.level).toBe(level);
  });

  it('is none where the operator turns it off', async () => {
    made = await makeSandbox({ policy: 'off' });
    expect(made.sandbox).toMatchObject({ level: 'none', reason: 'ALTO_SANDBOX=off' });
  });

  it('has the machine’s network where programs for another are missing', async () => {
    const { nft: _, ...programs } = found;
    made = await makeSandbox({ programs });
    if (level === 'none') expect(made.sandbox.level).toBe('none');
    else expect(made.sandbox).toMatchObject({ level: 'restricted', reason: expect.stringMatching(/network/) });
    expect(made.sandbox.addressOf(20_000)).toBeUndefined();
  });

  it('runs nothing on less where the operator requires the strongest', async () => {
    made = await makeSandbox({ policy: 'required', programs: {} });
    await expect(prepareOne()).rejects.toThrow(new RegExp(`ALTO_SANDBOX=required.*${missing}`));
  });
});
