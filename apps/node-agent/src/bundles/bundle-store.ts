/** Bundles on this machine: each fetched once, verified, unpacked and then never changed. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { AltoError } from '@alto/contracts';
import { syncFolder } from '../state/state-file';
import { unpack, type UnpackLimits } from './unpack';

export interface BundleReference {
  id: string;
  sha256: string;
  sizeBytes: number;
}

/** Gives a short-lived address from which a bundle can be read. */
export type LocateBundle = (project: string, bundle: BundleReference) => Promise<string>;

const SHA256 = /^[0-9a-f]{64}$/;
const RESPONSE_WITHIN_MS = 30_000;
const PARTIAL_PREFIX = '.partial-';

export class BundleStore {
  private readonly fetching = new Map<string, Promise<string>>();
  private partials = 0;

  constructor(
    private readonly folder: string,
    private readonly locate: LocateBundle,
    private readonly limits: UnpackLimits,
  ) {}

  /** The folder of a bundle; fetches it unless it is here. Asked twice at a time it fetches once. */
  async ensure(project: string, bundle: BundleReference): Promise<string> {
    if (!SHA256.test(bundle.sha256)) throw new AltoError('unprocessable', `Bundle ${bundle.id} has no valid SHA-256.`);
    const path = join(this.folder, bundle.sha256);
    if (existsSync(path)) return path;
    const running = this.fetching.get(bundle.sha256);
    if (running) return running;
    const fetching = this.fetch(project, bundle, path).finally(() => this.fetching.delete(bundle.sha256));
    this.fetching.set(bundle.sha256, fetching);
    return fetching;
  }

  /** Removes what an agent that was killed left half done. */
  async clean(): Promise<void> {
    const names = await readdir(this.folder);
    const partial = names.filter((name) => name.startsWith(PARTIAL_PREFIX));
    await Promise.all(partial.map((name) => rm(join(this.folder, name), { recursive: true, force: true })));
  }

  /** Removes bundles that nothing uses and that have not been used for a while. */
  async collect(used: ReadonlySet<string>, unusedSinceMs: number): Promise<string[]> {
    const removed: string[] = [];
    for (const name of (await readdir(this.folder)).filter((candidate) => SHA256.test(candidate))) {
      const path = join(this.folder, name);
      if (used.has(name)) await utimes(path, new Date(), new Date());
      else if ((await stat(path)).mtimeMs < unusedSinceMs) removed.push(name);
    }
    // Renamed first: a folder that is half removed must not pass for a bundle.
    for (const name of removed) {
      const doomed = this.partial(name);
      await rename(join(this.folder, name), doomed);
      await rm(doomed, { recursive: true, force: true });
    }
    return removed;
  }

  private async fetch(project: string, bundle: BundleReference, path: string): Promise<string> {
    const archive = `${this.partial(bundle.sha256)}.tar.gz`;
    const unpacked = this.partial(bundle.sha256);
    try {
      const url = await this.locate(project, bundle);
      await download(url, archive, bundle);
      await mkdir(unpacked, { mode: 0o755 });
      await unpack(archive, unpacked, this.limits);
      await syncFileSystem(unpacked);
      await rename(unpacked, path);
      await syncFolder(this.folder);
      return path;
    } finally {
      await rm(archive, { force: true });
      await rm(unpacked, { recursive: true, force: true });
    }
  }

  private partial(name: string): string {
    return join(this.folder, `${PARTIAL_PREFIX}${name}-${process.pid}-${this.partials++}`);
  }
}

/** Streams to the disk, never whole in memory. @throws AltoError when it is not what was promised */
async function download(url: string, archive: string, bundle: BundleReference): Promise<void> {
  const response = await open(url);
  const hash = createHash('sha256');
  let bytes = 0;
  const verify = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      if (bytes > bundle.sizeBytes) done(mismatch(bundle, `is longer than ${bundle.sizeBytes} bytes`));
      else done(null, chunk);
    },
  });
  await pipeline(response, verify, createWriteStream(archive, { mode: 0o600 }));
  if (bytes !== bundle.sizeBytes) throw mismatch(bundle, `has ${bytes} bytes instead of ${bundle.sizeBytes}`);
  if (hash.digest('hex') !== bundle.sha256) throw mismatch(bundle, 'has another SHA-256');
}

function open(url: string): Promise<Readable> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const get = url.startsWith('https:') ? getHttps : getHttp;
  const request = get(url, { agent: false }, (response) => {
    if (response.statusCode === 200) return resolve(response);
    response.resume();
    reject(new AltoError('service_unavailable', `Storage answered ${response.statusCode} for a bundle.`));
  });
  request.setTimeout(RESPONSE_WITHIN_MS, () => request.destroy(new Error('Storage did not answer in time')));
  request.on('error', reject);
  return promise;
}

function mismatch(bundle: BundleReference, how: string): AltoError {
  return new AltoError('checksum_mismatch', `Bundle ${bundle.id} as fetched ${how}.`);
}

/** One call for all files: a sync of each takes a second per thousand. */
async function syncFileSystem(path: string): Promise<void> {
  const run = promisify(execFile);
  await run('sync', ['-f', path]).catch(() => run('sync'));
}
