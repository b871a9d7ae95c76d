import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, utimes } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';
import { BundleStore, type BundleReference } from './bundle-store';

describe('BundleStore', () => {
  let folder: string;
  let host: Server;
  let answer: RequestListener;
  let requests = 0;
  let archive: Buffer;
  let bundle: BundleReference;
  let store: BundleStore;

  beforeAll(async () => {
    const files = pack();
    files.entry({ name: 'main.js' }, 'run()');
    files.finalize();
    archive = await buffer(files.pipe(createGzip()));
    const sha256 = createHash('sha256').update(archive).digest('hex');
    bundle = { id: 'bnd_one', sha256, sizeBytes: archive.length };
    host = createServer((request, response) => {
      requests++;
      answer(request, response);
    }).listen(0, '127.0.0.1');
    await once(host, 'listening');
  });
  afterAll(() => host.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alto-bundles-'));
    const { port } = host.address() as AddressInfo;
    store = new BundleStore(folder, async () => `http://127.0.0.1:${port}/`, { bytesMax: 10_000, entriesMax: 10 });
    answer = (_, response) => response.end(archive);
    requests = 0;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const leftovers = async () => (await readdir(folder)).filter((name) => name !== bundle.sha256);

  it('fetches a bundle once, also when it is asked for twice at a time', async () => {
    const [one, two] = await Promise.all([store.ensure('prj', bundle), store.ensure('prj', bundle)]);
    expect(one).toBe(two);
    expect(await readFile(join(one, 'main.js'), 'utf8')).toBe('run()');
    await store.ensure('prj', bundle);
    expect(requests).toBe(1);
    expect(await leftovers()).toEqual([]);
  });

  const faults: [string, RequestListener, RegExp][] = [
    ['an answer that is an error', (_, response) => response.writeHead(404).end(), /answered 404/],
    ['too few bytes', (_, response) => response.end(archive.subarray(0, 50)), /has 50 bytes/],
    ['too many bytes', (_, response) => response.end(Buffer.concat([archive, archive])), /is longer than/],
    ['other bytes', (_, response) => response.end(Buffer.alloc(archive.length)), /another SHA-256/],
    [
      'a connection that breaks',
      (_, response) => {
        response.writeHead(200, { 'content-length': archive.length });
        response.write(archive.subarray(0, 20), () => response.destroy());
      },
      /aborted/,
    ],
  ];

  it.each(faults)('leaves nothing of %s, and fetches again', async (_, faulty, message) => {
    answer = faulty;
    await expect(store.ensure('prj', bundle)).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
    answer = (_request, response) => response.end(archive);
    expect(existsSync(await store.ensure('prj', bundle))).toBe(true);
  });

  it('refuses a checksum that would lead elsewhere', async () => {
    await expect(store.ensure('prj', { ...bundle, sha256: '../../etc' })).rejects.toThrow(/no valid SHA-256/);
    expect(requests).toBe(0);
  });

  it('removes what was left half done, and bundles that were not used for a while', async () => {
    const path = await store.ensure('prj', bundle);
    await mkdir(join(folder, '.partial-abc-1-0'));
    await store.clean();
    expect(await leftovers()).toEqual([]);
    const longAgo = new Date(1_000);
    await utimes(path, longAgo, longAgo);
    expect(await store.collect(new Set([bundle.sha256]), 2_000)).toEqual([]);
    expect(await store.collect(new Set(), 2_000)).toEqual([]);
    await utimes(path, longAgo, longAgo);
    expect(await store.collect(new Set(), 2_000)).toEqual([bundle.sha256]);
    expect(await readdir(folder)).toEqual([]);
  });
});
