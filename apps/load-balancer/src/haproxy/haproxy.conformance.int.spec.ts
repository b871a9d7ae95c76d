import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@alto/platform';
import { freePorts, startHaproxy } from '@alto/testing';
import { describeProxyEngine } from '../proxy/proxy.conformance';
import { ProxyEngines } from '../proxy/proxy.engine';
import { HaproxyEngine, type HaproxyOptions } from './haproxy.engine';

const log = createLog({ level: 'silent', service: 'test', instance: 'test', version: '0' });

class TestEngines extends ProxyEngines {
  constructor(private readonly options: HaproxyOptions) {
    super();
  }

  open() {
    return HaproxyEngine.open(this.options, log);
  }

  targets() {
    return Promise.resolve([]);
  }
}

/** Body of the answer; undefined unless the status is 200. */
function ask(port: number, host: string, path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path, headers: { host }, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(response.statusCode === 200 ? body : undefined));
    }).on('error', reject);
  });
}

describeProxyEngine('HAProxy', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'alto-haproxy-'));
  const [port = 0] = await freePorts(1);
  const settings = {
    host: '127.0.0.1',
    apps: { name: 'apps', port },
    services: [],
    connectionsMax: 500,
    connectionsPerAddressMax: 500,
  };
  const timeouts = { threads: 1, serverTimeoutMs: 5_000, streamTimeoutMs: 60_000, slowStartMs: 0, accessLog: false };
  const engines = new TestEngines({
    command: 'haproxy',
    folder,
    runFolder: folder,
    settings: { ...settings, ...timeouts },
  });
  const first = await engines.open();
  await first.apply({ pools: [], hosts: [] });
  await first.close();
  const haproxy = await startHaproxy({ folder });
  const servers = new Map<string, Server>();
  const end = (server: Server) => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    engines,
    instance: async (id) => {
      const server = createServer((_, response) => response.end(id));
      servers.set(id, server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return { id, address: '127.0.0.1', port: (server.address() as AddressInfo).port, state: 'ready' };
    },
    kill: async (id) => {
      await end(servers.get(id)!);
      servers.delete(id);
    },
    answering: async (host, path = '/') => {
      const answers = [];
      for (let round = 0; round < 6; round++) answers.push(await ask(port, host, path));
      return [...new Set(answers)].filter((answer) => answer !== undefined);
    },
    dispose: async () => {
      await haproxy.stop();
      await Promise.all([...servers.values()].map(end));
      rmSync(folder, { recursive: true, force: true });
    },
  };
});
