/**
 * A Docker engine of its own for one test: in its own network, process and mount namespaces, so that whatever it makes
 * (bridges, firewall rules, mounts, containers) is gone with it. The test's side reaches its ports through `forward`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '@alto/testing';
import { findProgram, installPrograms, systemEnvironment } from '../debian';
import { type Image, importImage } from './images';

const execute = promisify(execFile);
const packages = ['docker.io', 'docker-compose', 'iptables', 'iproute2'];
const programs = ['dockerd', 'containerd', 'iptables', 'ip', 'unshare', 'nsenter'];
/** @returns why no engine can be had here, in words, or the engine. */
export async function startEngine(): Promise<DockerEngine | string> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'a Docker engine of our own needs Linux and root';
  const composes = ['docker-compose', 'docker'].some((name) => findProgram(name) !== undefined);
  const missing = installPrograms(composes ? programs : [...programs, 'docker-compose'], packages);
  if (missing !== undefined) return missing;
  const engine = new DockerEngine();
  try {
    await engine.start();
    return engine;
  } catch (error) {
    const reason = `dockerd does not run here: ${error instanceof Error ? error.message : String(error)}`;
    await engine.stop();
    return reason;
  }
}

export class DockerEngine {
  readonly folder = mkdtempSync(join(tmpdir(), 'alto-docker-'));
  private readonly name = basename(this.folder);
  private readonly environment = {
    ...systemEnvironment,
    HOME: this.folder,
    DOCKER_HOST: `unix://${this.folder}/docker.sock`,
    DOCKER_BUILDKIT: '1',
    COMPOSE_DOCKER_CLI_BUILD: '1',
    COMPOSE_PROJECT_NAME: 'alto',
  };
  private readonly children: ChildProcess[] = [];
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly killNow = () => this.children.forEach((child) => child.kill('SIGKILL'));

  async start(): Promise<void> {
    const path = (name: string) => join(this.folder, name);
    const log = openSync(path('dockerd.log'), 'a');
    const engine = spawn(
      'unshare',
      [
        ...['--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'],
        // The engine is the first process of its namespace: it takes everything with it.
        ...['sh', '-c', 'ip link set lo up && exec dockerd "$@"', 'dockerd'],
        ...['--host', `unix://${path('docker.sock')}`, '--data-root', path('data'), '--exec-root', path('exec')],
        ...['--pidfile', path('docker.pid'), '--cgroup-parent', `/${this.name}`],
      ],
      { stdio: ['ignore', log, log], env: systemEnvironment },
    );
    this.children.push(engine);
    process.once('exit', this.killNow);
    await eventually(
      async () => {
        if (engine.exitCode !== null) return;
        await this.docker('info');
      },
      { withinMs: 60_000 },
    );
    if (engine.exitCode !== null) throw new Error(readFileSync(path('dockerd.log'), 'utf8').trim().slice(-500));
  }

  async import(images: readonly Image[]): Promise<void> {
    for (const image of images) {
      const folder = join(this.folder, 'root');
      mkdirSync(folder);
      await importImage(['docker', '--host', this.environment.DOCKER_HOST], folder, image);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  docker(...args: string[]): Promise<string> {
    return this.run('docker', args, {});
  }

  /** @param directory where docker-compose.yml lies */
  compose(directory: string, env: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
    const command = findProgram('docker-compose') === undefined ? ['docker', 'compose'] : ['docker-compose'];
    const [program = '', ...first] = command;
    return this.run(program, [...first, ...args], { ...env, PWD: directory }, directory);
  }

  /** @returns for each port of the engine's network the one that leads there */
  async forward(ports: readonly number[]): Promise<Map<number, number>> {
    const [engine] = this.children;
    const children = readFileSync(`/proc/${engine?.pid}/task/${engine?.pid}/children`, 'utf8').trim();
    const forwarder = spawn(
      'nsenter',
      [
        `--net=/proc/${children.split(' ')[0]}/ns/net`,
        process.execPath,
        join(import.meta.dirname, 'forward.mjs'),
        this.folder,
        ...ports.map(String),
      ],
      { stdio: 'inherit', env: systemEnvironment },
    );
    this.children.push(forwarder);
    const forwarded = new Map<number, number>();
    for (const port of ports) forwarded.set(port, await this.listenFor(join(this.folder, `${port}.sock`)));
    return forwarded;
  }

  /** Nothing of it is left afterwards. */
  async stop(): Promise<void> {
    for (const server of this.servers) server.close();
    for (const socket of this.sockets) socket.destroy();
    for (const child of this.children.reverse()) await ended(child);
    process.removeListener('exit', this.killNow);
    await eventually(() => removeGroups(this.name), { withinMs: 60_000 });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async listenFor(target: string): Promise<number> {
    const server = createServer((outer) => {
      const inner = connect(target);
      for (const socket of [outer, inner]) {
        this.sockets.add(socket);
        socket.on('error', () => (outer.destroy(), inner.destroy()));
        socket.once('close', () => this.sockets.delete(socket));
      }
      outer.pipe(inner).pipe(outer);
    });
    this.servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as { port: number }).port;
  }

  private async run(program: string, args: string[], env: Record<string, string>, cwd = this.folder): Promise<string> {
    try {
      const options = { env: { ...this.environment, ...env }, cwd, maxBuffer: 64 << 20, timeout: 240_000 };
      return (await execute(program, args, options)).stdout;
    } catch (error) {
      const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
      throw new Error(`${program} ${args.join(' ')} failed:\n${(stderr + stdout).slice(-4_000)}`, { cause: error });
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

/** Control groups outlive their processes. */
function removeGroups(name: string): void {
  const hierarchies = existsSync('/sys/fs/cgroup') ? readdirSync('/sys/fs/cgroup') : [];
  for (const folder of ['', ...hierarchies].map((hierarchy) => join('/sys/fs/cgroup', hierarchy, name))) {
    if (existsSync(folder)) removeGroup(folder);
  }
}

function removeGroup(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(folder, entry.name));
  }
  rmdirSync(folder);
}
