import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, type Caller, newId, storageOperations } from '@alto/contracts';
import { type CallTerms, termHeaders } from '@alto/platform';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
  tokenOf,
} from '@alto/testing';
import { storageService } from '../storage.module';
import { archiveOf, archiveOfSize } from './archive.fake';

const { get, list, locate } = storageOperations.bundles;

let nats: NatsServer;
let database: TestDatabase;
let storage: TestService;

beforeAll(async () => {
  nats = await startNats();
  database = await createDatabase({ name: 'storage', ...storageService.database! });
  storage = await startTestService(storageService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: {
      ALTO_STORAGE_BUNDLE_BYTES_MAX: '20000000',
      ALTO_STORAGE_FREE_BYTES_MIN: '0',
      ALTO_STORAGE_UPLOAD_IDLE_MS: '3000',
    },
  });
  await eventually(async () => (await fetch(`${storage.url}/readyz`)).ok, { withinMs: 30_000 });
});

afterAll(async () => {
  await storage?.stop();
  await database?.drop();
  await nats?.stop();
});

const project = newTestProject();
const developer = callerOf(project);

function upload(
  archive: Buffer,
  { caller = developer, query = '', to = caller.project, terms = {} }: UploadOptions = {},
): Promise<Response> {
  return fetch(`${storage.url}/v1/projects/${to}/bundles${query}`, {
    method: 'POST',
    headers: { 'alto-caller': tokenOf(caller), 'content-type': 'application/gzip', ...termHeaders(terms) },
    body: new Uint8Array(archive),
  });
}

interface UploadOptions {
  readonly caller?: Caller;
  readonly query?: string;
  readonly to?: string | null;
  readonly terms?: CallTerms;
}

async function uploaded(archive: Buffer, options?: UploadOptions): Promise<Bundle> {
  const response = await upload(archive, options);
  expect(response.status).toBe(201);
  return (await response.json()) as Bundle;
}

function download(bundle: string, caller = developer): Promise<Response> {
  return fetch(`${storage.url}/v1/projects/${caller.project}/bundles/${bundle}/content`, {
    headers: { 'alto-caller': tokenOf(caller) },
  });
}

/** An upload that says how long it will be; the test sends its bytes. */
function uploading(archive: Buffer): ClientRequest {
  return request(`${storage.url}/v1/projects/${project.id}/bundles`, {
    method: 'POST',
    headers: {
      'alto-caller': tokenOf(developer),
      'content-type': 'application/gzip',
      'content-length': archive.length,
    },
  });
}

function filesIn(area: string): string[] {
  const folder = join(storage.stateDirectory, 'volume', area);
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path).isFile());
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

describe('bundles', () => {
  it('comes back as it was sent, over several blocks', async () => {
    const archive = await archiveOfSize(3_500_000);
    const bundle = await uploaded(archive);
    expect(bundle).toMatchObject({
      project: project.id,
      sha256: sha256(archive),
      sizeBytes: archive.length,
      version: 1,
    });
    const response = await download(bundle.id);
    expect(response.headers.get('content-length')).toBe(String(archive.length));
    expect(response.headers.get('etag')).toBe(`"${bundle.sha256}"`);
    expect(Buffer.from(await response.arrayBuffer()).equals(archive)).toBe(true);
    expect(await storage.call(get, { project: project.id, bundle: bundle.id }, developer)).toEqual(bundle);
  });

  it('is the same bundle for the same content in a project, also when sent many times at once', async () => {
    const archive = await archiveOfSize(200_000);
    const bundles = await Promise.all(Array.from({ length: 8 }, () => uploaded(archive)));
    expect(new Set(bundles.map(({ id }) => id)).size).toBe(1);
    expect((await uploaded(archive)).id).toBe(bundles[0]!.id);
    await eventually(() => filesIn('tmp').length === 0);
    const elsewhere = await uploaded(archive, { caller: callerOf(newTestProject()) });
    expect(elsewhere.id).not.toBe(bundles[0]!.id);
  });

  it('checks the hash that the client names', async () => {
    const archive = await archiveOfSize(1_000);
    const response = await upload(archive, { query: `?sha256=${'0'.repeat(64)}` });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ code: 'checksum_mismatch' });
    expect((await uploaded(archive, { query: `?sha256=${sha256(archive)}` })).sha256).toBe(sha256(archive));
  });

  it('refuses what is no bundle and names the entry', async () => {
    const evil = await archiveOf({ name: 'ok', content: 'x' }, { name: '../../etc/passwd', content: 'x' });
    const response = await upload(evil);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ code: 'unprocessable', details: { entry: '../../etc/passwd' } });
    expect((await upload(Buffer.from('no archive'))).status).toBe(415);
    expect((await upload(Buffer.alloc(0))).status).toBe(415);
    await eventually(() => filesIn('tmp').length === 0);
  });

  it('refuses a JSON body', async () => {
    const response = await fetch(`${storage.url}/v1/projects/${project.id}/bundles`, {
      method: 'POST',
      headers: { 'alto-caller': tokenOf(developer), 'content-type': 'application/json' },
      body: '{}',
    });
    expect(response.status).toBe(415);
  });

  it('refuses what is too large, told so or not', async () => {
    const archive = await archiveOfSize(21_000_000);
    const told = await upload(archive);
    expect(told.status).toBe(413);
    const chunks = new ReadableStream({
      start(controller) {
        for (let start = 0; start < archive.length; start += 65_536)
          controller.enqueue(archive.subarray(start, start + 65_536));
        controller.close();
      },
    });
    const untold = await fetch(`${storage.url}/v1/projects/${project.id}/bundles`, {
      method: 'POST',
      headers: { 'alto-caller': tokenOf(developer), 'content-type': 'application/gzip' },
      body: chunks,
      duplex: 'half',
    } as RequestInit);
    expect(untold.status).toBe(413);
    await eventually(() => filesIn('tmp').length === 0);
  });

  it('leaves nothing of an upload whose client goes away or falls silent', async () => {
    const archive = await archiveOfSize(4_000_000);
    const before = filesIn('blobs').length;
    for (const ending of ['gone', 'silent']) {
      const sending = uploading(archive);
      const closed = new Promise((resolve) => sending.on('error', () => {}).on('close', resolve));
      sending.write(archive.subarray(0, 2_500_000));
      await eventually(() => filesIn('tmp').length === 1);
      if (ending === 'gone') sending.destroy();
      await closed;
      await eventually(() => filesIn('tmp').length === 0);
    }
    expect(filesIn('blobs').length).toBe(before);
  });

  it('reads what came while it stood still before it takes an upload for silent', async () => {
    const archive = await archiveOfSize(1_200_000);
    const sending = uploading(archive);
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    // Files are written in blocks of this size: once it is there, the service has taken all and waits for more.
    const sent = 2 ** 20;
    sending.write(archive.subarray(0, sent));
    await eventually(() => filesIn('tmp').some((path) => statSync(path).size >= sent));
    // What follows runs where bytes are read, as most work does: timers come before the next bytes then.
    await stat(storage.stateDirectory);
    // The client has sent all, and the service, which is in this process as well, has had no turn to read the rest.
    sending.end(archive.subarray(sent));
    const until = performance.now() + 3_500;
    while (performance.now() < until);
    const [answer] = await answered;
    expect(answer.resume().statusCode).toBe(201);
  });

  it('never ends a read of a damaged file as if it were whole, and is mended by the same content', async () => {
    const archive = await archiveOfSize(3_000_000);
    const bundle = await uploaded(archive);
    const path = filesIn('blobs').find((file) => readFileSync(file).subarray(0, archive.length).equals(archive))!;
    const content = readFileSync(path);
    content[2_500_000]! ^= 1;
    writeFileSync(path, content);
    await expect((await download(bundle.id)).arrayBuffer()).rejects.toThrow();
    content[10]! ^= 1;
    writeFileSync(path, content);
    const atOnce = await download(bundle.id);
    expect(atOnce.status).toBe(500);
    expect(await atOnce.json()).toMatchObject({ code: 'corrupt_data' });
    const metrics = await (await fetch(`${storage.url}/metrics`)).text();
    expect(metrics).toMatch(/alto_storage_corrupt_reads_total [2-9]/);
    expect((await uploaded(archive)).id).toBe(bundle.id);
    expect(Buffer.from(await (await download(bundle.id)).arrayBuffer()).equals(archive)).toBe(true);
  });

  it('lists page by page, newest first', async () => {
    const caller = callerOf(newTestProject());
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) ids.unshift((await uploaded(await archiveOfSize(100), { caller })).id);
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await storage.call(list, { project: caller.project!, limit: 2, cursor }, caller);
      expect(page.items.length).toBeLessThanOrEqual(2);
      listed.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(listed).toEqual(ids);
  });

  it('is a wall between projects', async () => {
    const bundle = await uploaded(await archiveOfSize(100));
    const stranger = callerOf(newTestProject());
    const address = { project: stranger.project!, bundle: bundle.id };
    await expect(storage.call(get, address, stranger)).rejects.toMatchObject({ code: 'not_found' });
    await expect(storage.call(get, { ...address, project: project.id }, stranger)).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await download(bundle.id, stranger)).status).toBe(404);
    expect((await upload(await archiveOfSize(100), { caller: stranger, to: project.id })).status).toBe(404);
    expect((await storage.call(list, { project: stranger.project! }, stranger)).items).toEqual([]);
    await expect(storage.call(locate, address)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('asks for a token, and for the right to write', async () => {
    const bare = await fetch(`${storage.url}/v1/projects/${project.id}/bundles`, { method: 'POST', body: 'x' });
    expect(bare.status).toBe(401);
    expect((await upload(await archiveOfSize(100), { caller: callerOf(project, 'viewer') })).status).toBe(403);
  });

  it('gives an agent an address that serves this bundle alone, for a while', async () => {
    const archive = await archiveOfSize(100_000);
    const bundle = await uploaded(archive);
    const located = await eventually(() => storage.call(locate, { project: project.id, bundle: bundle.id }));
    expect(located).toMatchObject({ sha256: bundle.sha256, sizeBytes: archive.length });
    const fetched = await fetch(located.url);
    expect(Buffer.from(await fetched.arrayBuffer()).equals(archive)).toBe(true);
    const expired = located.url.replace(/expires=\d+/, 'expires=1');
    expect((await fetch(expired)).status).toBe(403);
    expect((await fetch(located.url.replace(/key=[^&]+/, 'key=other'))).status).toBe(403);
    expect((await fetch(located.url.replace(/blob_[^/]+/, newId('blob')))).status).toBe(403);
    expect((await fetch(located.url.replace(/&signature=.*/, ''))).status).toBe(400);
  });
});

describe('an upload under a name', () => {
  const nameOf = (digit: string) => ({ onceKey: digit.repeat(64) });
  const listed = async (caller: Caller) => (await storage.call(list, { project: caller.project! }, caller)).items;

  it('is answered as the first one, also where somebody had uploaded the content before', async () => {
    const caller = callerOf(newTestProject());
    for (const [digit, isKnown] of [['1', false] as const, ['2', true] as const]) {
      const archive = await archiveOfSize(150_000);
      if (isKnown) await uploaded(archive, { caller });
      const options = { caller, terms: nameOf(digit) };
      const bundles = await Promise.all(Array.from({ length: 4 }, () => uploaded(archive, options)));
      expect(new Set(bundles.map((bundle) => JSON.stringify(bundle))).size).toBe(1);
      expect(bundles[0]?.sha256).toBe(sha256(archive));
    }
    expect(await listed(caller)).toHaveLength(2);
  });

  it('refuses other content, and keeps nothing of it', async () => {
    const caller = callerOf(newTestProject());
    const terms = nameOf('3');
    const [first, other, known] = [await archiveOfSize(90_000), await archiveOfSize(90_000), await archiveOfSize(90)];
    const bundle = await uploaded(first, { caller, terms });
    await uploaded(known, { caller });
    const files = filesIn('blobs').length;
    for (const archive of [other, known]) {
      const refused = await upload(archive, { caller, terms });
      expect([refused.status, await refused.json()]).toEqual([
        422,
        expect.objectContaining({ code: 'idempotency_key_reused', field: 'Idempotency-Key' }),
      ]);
    }
    expect((await listed(caller)).map((one) => one.sha256).sort()).toEqual([sha256(first), sha256(known)].sort());
    await eventually(() => expect([filesIn('blobs').length, filesIn('tmp').length]).toEqual([files, 0]));
    expect(await uploaded(first, { caller, terms })).toEqual(bundle);
  });

  it('may be sent again after it was refused', async () => {
    const terms = nameOf('4');
    expect((await upload(Buffer.from('no archive'), { terms })).status).toBe(415);
    expect((await upload(await archiveOfSize(1_000), { terms })).status).toBe(201);
  });
});

describe('a trial', () => {
  const dryRun = { terms: { dryRun: true } };

  it('says what would be stored, and stores nothing', async () => {
    const caller = callerOf(newTestProject());
    const archive = await archiveOfSize(120_000);
    const files = filesIn('blobs').length;
    const bundle = await uploaded(archive, { caller, ...dryRun });
    expect(bundle).toMatchObject({ sha256: sha256(archive), sizeBytes: archive.length, version: 1 });
    expect((await storage.call(list, { project: caller.project! }, caller)).items).toEqual([]);
    await eventually(() => expect([filesIn('blobs').length, filesIn('tmp').length]).toEqual([files, 0]));
    const kept = await uploaded(archive, { caller });
    expect((await uploaded(archive, { caller, ...dryRun })).id).toBe(kept.id);
    expect(Buffer.from(await (await download(kept.id, caller)).arrayBuffer()).equals(archive)).toBe(true);
  });

  it('is refused what the upload would be refused', async () => {
    const evil = await archiveOf({ name: '../../etc/passwd', content: 'x' });
    expect((await upload(evil, dryRun)).status).toBe(422);
    const caller = { ...callerOf(newTestProject()), quotas: { storageBytes: 1_000 } };
    expect((await upload(await archiveOfSize(50_000), { caller, ...dryRun })).status).toBe(429);
  });
});

describe('the quota of bytes', () => {
  const limited = (storageBytes: number) => ({ ...callerOf(newTestProject()), quotas: { storageBytes } });
  const use = async (caller: Caller) =>
    (await storage.call(storageOperations.usage.get, { project: caller.project ?? '' }, caller)).use;

  it('is never overshot by uploads at the same time', async () => {
    const archives = await Promise.all(Array.from({ length: 8 }, () => archiveOfSize(50_000)));
    const size = Math.max(...archives.map(({ length }) => length));
    const caller = limited(3 * size);
    const statuses = await Promise.all(archives.map(async (archive) => (await upload(archive, { caller })).status));
    expect(statuses.filter((status) => status === 201)).toHaveLength(3);
    expect(statuses.filter((status) => status === 429)).toHaveLength(5);
    const { items } = await storage.call(list, { project: caller.project ?? '' }, caller);
    const bytes = items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect([items.length, await use(caller)]).toEqual([3, { storageBytes: bytes }]);
  });

  it('counts content once, however often and by however many at once it is sent', async () => {
    const archive = await archiveOfSize(50_000);
    const caller = limited(archive.length);
    const answers = await Promise.all(Array.from({ length: 6 }, () => upload(archive, { caller })));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201));
    expect(await use(caller)).toEqual({ storageBytes: archive.length });
    const sha256 = createHash('sha256').update(archive).digest('hex');
    expect((await upload(archive, { caller, query: `?sha256=${sha256}` })).status).toBe(201);
  });

  it('refuses an upload that says its size and hash before it is sent', async () => {
    const archive = await archiveOfSize(5_000_000);
    const sha256 = createHash('sha256').update(archive).digest('hex');
    const caller = limited(1_000);
    const response = await upload(archive, { caller, query: `?sha256=${sha256}` });
    expect([response.status, await response.json()]).toEqual([
      429,
      expect.objectContaining({ code: 'quota_exceeded', details: expect.objectContaining({ quota: 'storageBytes' }) }),
    ]);
  });
});
