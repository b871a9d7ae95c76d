import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { serviceNames } from '@alto/contracts';
import { makeKeys, runBootstrap } from './bootstrap';

describe('bootstrap of containers', () => {
  let folder: string;
  const plan = () => ({ keys: join(folder, 'keys'), handed: join(folder, 'handed'), postgres: 'postgres:5432' });
  const handed = (container: string) => readdirSync(join(folder, 'handed', container)).sort();
  const environmentOf = (service: string) =>
    parseEnv(readFileSync(join(folder, 'handed', service, 'service.env'), 'utf8'));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'alto-bootstrap-'));
    await makeKeys(plan());
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('hands each container what it needs and nothing of another', () => {
    expect(readdirSync(join(folder, 'handed')).sort()).toEqual([...serviceNames, 'nats', 'postgres'].sort());
    expect(handed('search')).toEqual(['nats.creds', 'service.env']);
    expect(handed('compute')).toEqual(['master.key', 'nats.creds', 'service.env']);
    expect(handed('node-agent')).toEqual(['master.key', 'nats.creds', 'service.env']);
    expect(handed('gateway')).toEqual([
      ...['accounts.nk', 'admin.key.sha256', 'caller.key', 'nats.creds', 'service.env', 'subscribers.nk'],
      'system.creds',
    ]);
    expect(environmentOf('load-balancer').ALTO_DATABASE_URL).toMatch(
      /^postgresql:\/\/load_balancer:[0-9a-f]{48}@postgres:5432\/load_balancer$/,
    );
    expect(environmentOf('node-agent').ALTO_DATABASE_URL).toBeUndefined();
    const { ALTO_NODE_ID: node } = environmentOf('node-agent');
    expect(node).toMatch(/^node_/);
    const [jwt = ''] = /^ey\S+$/m.exec(readFileSync(join(folder, 'handed/node-agent/nats.creds'), 'utf8')) ?? [];
    expect(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).toContain(`_INBOX_node-agent.${node}.`);
    const credentials = serviceNames.map((name) => readFileSync(join(folder, 'handed', name, 'nats.creds'), 'utf8'));
    expect(new Set(credentials).size).toBe(serviceNames.length);
  });

  it('keeps what it hands from other users', () => {
    const files = serviceNames.flatMap((name) => handed(name).map((file) => join(folder, 'handed', name, file)));
    expect(files.map((file) => statSync(file).mode & 0o777)).toEqual(files.map(() => 0o600));
  });

  it('has NATS listen where other containers reach it', () => {
    expect(readFileSync(join(folder, 'handed/nats/nats.conf'), 'utf8')).toContain('listen: "0.0.0.0:4222"');
  });

  it('changes nothing when it runs again', async () => {
    const all = () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
        .map((file) => [file, statSync(file).mtimeMs, readFileSync(file, 'utf8')]);
    const before = all();
    await makeKeys(plan());
    expect(all()).toEqual(before);
  });

  it('says how it is used', async () => {
    expect(await runBootstrap(['everything'])).toBe(1);
  });
});
