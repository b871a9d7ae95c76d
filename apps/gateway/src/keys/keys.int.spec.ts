import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@alto/testing';
import { Gateways } from '../gateways.fake';
import { makeFirstOperator } from '../identity/first-operator.fake';

/** Business time of all gateways, moved by the tests. */
const clockFolder = mkdtempSync(join(tmpdir(), 'alto-gateway-clock-'));
const clockFile = join(clockFolder, 'offset');
let gateways: Gateways;

beforeAll(async () => {
  writeFileSync(clockFile, '0');
  gateways = await Gateways.start(2, { ALTO_CLOCK_OFFSET_FILE: clockFile });
  await gateways.createProject('shop');
});

afterEach(() => writeFileSync(clockFile, '0'));

afterAll(async () => {
  await gateways?.stop();
  rmSync(clockFolder, { recursive: true, force: true });
});

const inFuture = (ms: number) => new Date(Date.now() + ms).toISOString();
const statusOf = async (key: string, index = 0, path = '/v1/projects/shop') =>
  (await gateways.call('GET', path, { key, gateway: gateways.all[index] })).status;

describe('expiry', () => {
  it('ends a key by itself, and says so to who has it', async () => {
    const { key } = await gateways.createKey('shop', 'viewer', { expiresAt: inFuture(3_600_000) });
    expect(await statusOf(key)).toBe(200);
    writeFileSync(clockFile, '3660000');
    await eventually(async () => expect(await statusOf(key)).toBe(401));
    expect((await gateways.call('GET', '/v1/whoami', { key })).body.detail).toContain('has expired');
    const guess = key.slice(0, -4) + (key.endsWith('0000') ? '1111' : '0000');
    expect((await gateways.call('GET', '/v1/whoami', { key: guess })).body.detail).toContain('is not known');
  });

  it('refuses one that is over already', async () => {
    const { status, body } = await gateways.call('POST', '/v1/projects/shop/keys', {
      body: { name: 'late', role: 'viewer', expiresAt: '2020-01-01T00:00:00.000Z' },
    });
    expect([status, body.field]).toEqual([422, 'expiresAt']);
  });
});

describe('scopes', () => {
  it('narrow what the role may do, and no more than that', async () => {
    const { key } = await gateways.createKey('shop', 'admin', { scopes: ['keys.read', 'projects.*', 'keys.read'] });
    const who = (await gateways.call('GET', '/v1/whoami', { key })).body;
    expect([who.role, who.permissions.sort()]).toEqual(['admin', ['keys.read', 'projects.read', 'projects.write']]);
    expect(await statusOf(key, 0, '/v1/projects/shop/keys')).toBe(200);
    const refused = await gateways.call('POST', '/v1/projects/shop/keys', { key, body: { name: 'x', role: 'viewer' } });
    expect([refused.status, refused.body.detail]).toEqual([403, expect.stringContaining('its scopes lack keys.write')]);
  });

  it('are of the catalogue, and of the role', async () => {
    const create = (role: string, scopes: unknown) =>
      gateways.call('POST', '/v1/projects/shop/keys', { body: { name: 'x', role, scopes } });
    for (const scopes of [['apps.fly'], ['*'], [], ['apps.read', 1], 'apps.read']) {
      const { status, body } = await create('developer', scopes);
      expect([status, body.field]).toEqual([400, expect.stringMatching(/^scopes/)]);
    }
    expect((await create('viewer', ['apps.write'])).body).toMatchObject({ status: 422, field: 'scopes' });
    expect((await create('admin', ['cluster.read'])).status).toBe(422);
  });

  it('do not let a narrow key make, or take over, a wider one', async () => {
    const wide = await gateways.createKey('shop', 'admin');
    const narrow = await gateways.createKey('shop', 'admin', { scopes: ['keys.*', 'apps.read'] });
    const create = (body: object) =>
      gateways.call('POST', '/v1/projects/shop/keys', { key: narrow.key, body: { name: 'x', ...body } });
    expect((await create({ role: 'admin' })).body).toMatchObject({ code: 'forbidden', field: 'scopes' });
    expect((await create({ role: 'viewer' })).status).toBe(403);
    expect((await create({ role: 'developer', scopes: ['apps.read'] })).status).toBe(201);
    const path = `/v1/projects/shop/keys/${wide.id}/rotate`;
    expect((await gateways.call('POST', path, { key: narrow.key, body: {} })).status).toBe(403);
    expect(await statusOf(wide.key)).toBe(200);
  });
});

describe('rotation', () => {
  const rotate = (id: string, body: object = {}) =>
    gateways.call('POST', `/v1/projects/shop/keys/${id}/rotate`, { body });

  it('lets the secret before work for the time that was said, and no longer', async () => {
    const old = await gateways.createKey('shop', 'viewer');
    expect(await statusOf(old.key, 1)).toBe(200);
    const { status, body } = await rotate(old.id, { overlapMs: 60_000 });
    expect([status, body.id, body.version]).toEqual([200, old.id, 2]);
    expect(Date.parse(body.previousValidUntil) - Date.now()).toBeGreaterThan(30_000);
    for (const index of [0, 1]) {
      await eventually(async () => expect(await statusOf(body.key, index)).toBe(200));
      expect(await statusOf(old.key, index)).toBe(200);
    }
    writeFileSync(clockFile, '61000');
    for (const index of [0, 1]) {
      await eventually(async () => expect(await statusOf(old.key, index)).toBe(401));
      expect(await statusOf(body.key, index)).toBe(200);
    }
    expect((await gateways.call('GET', '/v1/whoami', { key: old.key })).body.detail).toContain('new secret');
  });

  it('ends the secret before at once when no overlap is wanted, and the one before that in any case', async () => {
    const first = await gateways.createKey('shop', 'viewer');
    const second = (await rotate(first.id, { overlapMs: 600_000 })).body;
    const third = (await rotate(first.id, { overlapMs: 600_000 })).body;
    expect([await statusOf(first.key), await statusOf(second.key), await statusOf(third.key)]).toEqual([401, 200, 200]);
    const fourth = (await rotate(first.id, { overlapMs: 0 })).body;
    expect(fourth.previousValidUntil).toBeNull();
    expect([await statusOf(third.key), await statusOf(fourth.key)]).toEqual([401, 200]);
  });

  it('is refused for a key that was revoked', async () => {
    const { id } = await gateways.createKey('shop', 'viewer');
    await gateways.call('DELETE', `/v1/projects/shop/keys/${id}`);
    expect((await rotate(id)).body).toMatchObject({ status: 409, code: 'conflict' });
    expect((await rotate('key_00000000000000000000000000')).status).toBe(404);
  });
});

describe("operators' keys", () => {
  it('are made, listed, rotated and revoked by operators alone', async () => {
    const made = await gateways.call('POST', '/v1/keys', { body: { name: 'on call', scopes: ['cluster.read'] } });
    expect(made.body).toMatchObject({ role: 'operator', project: null, scopes: ['cluster.read'] });
    const { id, key } = made.body;
    expect(await statusOf(key, 0, '/v1/keys')).toBe(200);
    expect((await gateways.call('POST', '/v1/keys', { key, body: { name: 'more' } })).status).toBe(403);
    const admin = await gateways.createKey('shop', 'admin');
    expect(await statusOf(admin.key, 0, '/v1/keys')).toBe(403);
    const listed = (await gateways.call('GET', '/v1/keys')).body.items as { id: string }[];
    expect(listed.map((item) => item.id)).toContain(id);
    expect(JSON.stringify(listed)).not.toContain('hash');
    const rotated = (await gateways.call('POST', `/v1/keys/${id}/rotate`, { body: { overlapMs: 0 } })).body;
    expect([await statusOf(key, 0, '/v1/whoami'), await statusOf(rotated.key, 0, '/v1/whoami')]).toEqual([401, 200]);
    expect((await gateways.call('DELETE', `/v1/keys/${id}`)).body.revokedAt).not.toBeNull();
    expect(await statusOf(rotated.key, 0, '/v1/whoami')).toBe(401);
    expect((await gateways.call('DELETE', `/v1/projects/shop/keys/${id}`)).status).toBe(404);
  });

  it('are made known by a file at the start of a gateway, so that a lost one can be replaced', async () => {
    const replacement = makeFirstOperator();
    try {
      const hashFile = replacement.settings['ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE'] ?? '';
      await gateways.add({ ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: hashFile });
      expect(await statusOf(replacement.key, 0, '/v1/keys')).toBe(200);
      const { id } = (await gateways.call('GET', '/v1/keys')).body.items.at(-1) as { id: string };
      expect((await gateways.call('DELETE', `/v1/keys/${id}`)).status).toBe(200);
    } finally {
      replacement.remove();
    }
  });

  it('are never all revoked, also not by two at once', async () => {
    const second = (await gateways.call('POST', '/v1/keys', { body: { name: 'second' } })).body;
    const firstId = (await gateways.call('GET', '/v1/whoami')).body.key;
    const revocations = await Promise.all([
      gateways.call('DELETE', `/v1/keys/${second.id}`, { gateway: gateways.all[1] }),
      gateways.call('DELETE', `/v1/keys/${firstId}`, { key: second.key }),
    ]);
    expect(revocations.map(({ status }) => status).sort()).not.toEqual([200, 200]);
    const usable = [gateways.operator.key, second.key];
    const alive = await eventually(async () => {
      const statuses = await Promise.all(usable.map((key) => statusOf(key, 0, '/v1/keys')));
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      return statuses;
    });
    if (alive[0] !== 200) gateways.operator.key = second.key;
    const last = (await gateways.call('GET', '/v1/whoami')).body.key;
    expect((await gateways.call('DELETE', `/v1/keys/${last}`)).body).toMatchObject({ status: 409, code: 'conflict' });
  });
});

it('a revoked key is refused by every gateway within a second, also while NATS is away', async () => {
  const { id, key } = await gateways.createKey('shop', 'viewer');
  for (const index of [0, 1]) expect(await statusOf(key, index)).toBe(200);
  await gateways.nats.shutDown();
  try {
    expect((await gateways.call('DELETE', `/v1/projects/shop/keys/${id}`)).status).toBe(200);
    const revokedAt = performance.now();
    expect(await statusOf(key)).toBe(401);
    let lastAcceptedMs = 0;
    await eventually(async () => {
      const askedAt = performance.now();
      const status = await statusOf(key, 1);
      if (status === 200) lastAcceptedMs = askedAt - revokedAt;
      expect(status).toBe(401);
    });
    expect(lastAcceptedMs).toBeLessThan(1_000);
  } finally {
    await gateways.nats.start();
  }
});
