/** `docker compose up` on a real Docker engine: the same services, API and ports as `alto up`. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gatewayOperations, serviceNames } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { eventually, repositoryRoot } from '@alto/testing';
import { type DockerEngine, startEngine } from './compose/engine';
import { baseImages } from './compose/images';

const execute = promisify(execFile);
const repository = (...names: string[]) => join(repositoryRoot, ...names);
const ports = { api: 4000, apps: 8080 };

const started = await startEngine();
const reason = typeof started === 'string' ? started : undefined;
const engine = started as DockerEngine;
/** The only test that may be left out: an engine is not to be had everywhere, and its name then says why. */
const onDocker = reason === undefined ? describe : describe['skip'];

interface Prepared {
  program: string;
  settings: Record<string, string>;
}

let client: AltoClient;
let environment: Record<string, string>;
let appsUrl: string;

const settings = {
  // What the network needs for `npm ci` is not to be had inside: the images get the release that was built out here.
  ALTO_RELEASES: 'prebuilt',
  ALTO_API_PORT: String(ports.api),
  ALTO_APPS_PORT: String(ports.apps),
};
const context = () => join(engine.folder, 'context');
const compose = (...args: string[]) => engine.compose(context(), settings, ...args);

/** In a process of its own: esbuild does not work inside Jest's environment. */
async function prepare(): Promise<Prepared> {
  const { stdout } = await execute(process.execPath, [repository('tools', 'prepare.ts')], { maxBuffer: 16 << 20 });
  return JSON.parse(stdout) as Prepared;
}

/** What `docker compose` finds in a clone after `npm run build`, without the builds of earlier days. */
function makeContext(): void {
  mkdirSync(context());
  for (const name of ['docker-compose.yml', '.dockerignore', 'deploy']) {
    cpSync(repository(name), join(context(), name), { recursive: true });
  }
  for (const service of serviceNames) {
    const releases = join('dist', 'releases', service);
    const version = readFileSync(repository(releases, 'current'), 'utf8').trim();
    for (const name of ['current', version]) {
      cpSync(repository(releases, name), join(context(), releases, name), { recursive: true });
    }
  }
}

async function up(): Promise<void> {
  const { program, settings: found } = await prepare();
  makeContext();
  await engine.import(
    baseImages({
      nats: found.ALTO_NATS_SERVER ?? '',
      haproxy: found.ALTO_HAPROXY_COMMAND ?? '',
      postgres: found.ALTO_POSTGRES_SOURCE ?? '',
    }),
  );
  await compose('build');
  await compose('up', '--detach').catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await compose('logs', '--tail', '20')}`, { cause: error });
  });
  const forwarded = await engine.forward(Object.values(ports));
  const baseUrl = `http://127.0.0.1:${forwarded.get(ports.api)}`;
  const key = await compose('run', '--rm', '--no-deps', '-T', '--entrypoint', 'cat', 'bootstrap', '/keys/admin.key');
  appsUrl = `http://127.0.0.1:${forwarded.get(ports.apps)}`;
  client = new AltoClient({ baseUrl, apiKey: key.trim() });
  environment = { ALTO_URL: baseUrl, ALTO_API_KEY: key.trim(), HOME: engine.folder, PROGRAM: program };
}

async function alto(...args: string[]): Promise<string> {
  const { PROGRAM = '', ...env } = environment;
  const { stdout } = await execute(process.execPath, [PROGRAM, ...args], { env, timeout: 300_000 });
  return stdout;
}

/** The instance that answers. `fetch` does not let a caller set the host. */
function askApp(): Promise<string> {
  return new Promise((resolve, reject) => {
    request(appsUrl, { headers: { host: 'hello.default.localhost' } }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        if (response.statusCode === 200) resolve((JSON.parse(body) as { instance: string }).instance);
        else reject(new Error(`status ${response.statusCode}: ${body}`));
      });
    })
      .on('error', reject)
      .end();
  });
}

async function states(): Promise<Record<string, string>> {
  const { items } = await client.call(gatewayOperations.services.list, {});
  return Object.fromEntries(items.map(({ service, state }) => [service, state]));
}

const allAvailable = Object.fromEntries(serviceNames.map((name) => [name, 'available']));

it('has a Dockerfile for each service, and a service in docker-compose.yml for each Dockerfile', () => {
  const text = readFileSync(repository('docker-compose.yml'), 'utf8');
  for (const service of serviceNames) {
    expect({ service, exists: existsSync(repository('deploy', 'docker', `${service}.Dockerfile`)) }).toEqual({
      service,
      exists: true,
    });
    expect(text).toContain(`\n  ${service}:\n`);
    expect(text).toContain(`dockerfile: deploy/docker/${service}.Dockerfile`);
  }
});

it('builds services that are alike by Dockerfiles that are alike', () => {
  const alike = ['gateway', 'compute', 'storage', 'notifications', 'search'];
  const texts = alike.map((service) =>
    readFileSync(repository('deploy', 'docker', `${service}.Dockerfile`), 'utf8').replaceAll(service, 'SERVICE'),
  );
  expect(new Set(texts).size).toBe(1);
});

onDocker(`on a Docker engine${reason === undefined ? '' : ` (not here: ${reason})`}`, () => {
  beforeAll(up, 480_000);

  afterAll(async () => {
    try {
      await compose('down', '--volumes', '--timeout', '5');
      expect(await engine.docker('ps', '--all', '--quiet')).toBe('');
      expect((await engine.docker('network', 'ls', '--format', '{{.Name}}')).trim().split('\n').sort()).toEqual([
        'bridge',
        'host',
        'none',
      ]);
    } finally {
      await engine.stop();
      expect(existsSync(engine.folder)).toBe(false);
    }
  }, 300_000);

  it('serves the API of all services', async () => {
    await eventually(async () => expect(await states()).toEqual(allAvailable), { withinMs: 60_000 });
    expect(await alto('services', 'list')).toMatch(/node-agent +available/);
    await expect(alto('services', 'restart', 'compute')).rejects.toMatchObject({
      code: 5,
      stderr: expect.stringContaining('`docker compose restart compute`'),
    });
  }, 300_000);

  it('runs an app that answers on the port of apps', async () => {
    await alto('deploy', repository('examples', 'hello'));
    await eventually(async () => expect(await askApp()).toMatch(/^ins_/), { withinMs: 60_000 });
  }, 300_000);

  it('answers while a service is restarted, and takes it back', async () => {
    let reading = true;
    let answered = 0;
    const failures: unknown[] = [];
    const read = async () => {
      while (reading) {
        await Promise.all([client.call(gatewayOperations.projects.list, {}), askApp()]).then(
          () => (answered += 1),
          (error: unknown) => failures.push(error),
        );
      }
    };
    const readers = [read(), read()];
    await compose('restart', '--timeout', '10', 'compute');
    await eventually(async () => expect(await states()).toEqual(allAvailable), { withinMs: 60_000 });
    reading = false;
    await Promise.all(readers);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(50);
  }, 300_000);

  it('keeps its keys and runs on when it is started again', async () => {
    await compose('up', '--detach');
    expect(await states()).toEqual(allAvailable);
    await askApp();
  }, 300_000);
});
