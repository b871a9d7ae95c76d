/**
 * Unpacks a tar.gz that somebody else made. Everything in it is suspect: names that lead out of the folder, links
 * that do, devices, more bytes or files than a disk should take. What is refused leaves nothing outside the folder.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { link, mkdir, symlink } from 'node:fs/promises';
import { posix, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AltoError } from '@alto/contracts';
import { extract, type Header } from 'tar-stream';

export interface UnpackLimits {
  /** Of all files together, unpacked. */
  bytesMax: number;
  entriesMax: number;
}

/** What tar-stream yields: a stream of another family than Node's, which Node's can read from. */
type Entry = AsyncIterable<unknown> & { header: Header; resume(): unknown };

const NAME_BYTES_MAX = 1_024;
const DEPTH_MAX = 64;

/**
 * @param folder exists and is empty
 * @throws AltoError `unprocessable` that names the entry at fault
 */
export async function unpack(archive: string, folder: string, limits: UnpackLimits): Promise<void> {
  const unpacker = new Unpacker(folder, limits);
  const entries = extract();
  const reading = pipeline(createReadStream(archive), createGunzip(), entries);
  // Awaited below; until then a failure must not count as unhandled.
  reading.catch(() => undefined);
  try {
    for await (const entry of entries) await unpacker.take(entry);
    await reading;
  } catch (error) {
    entries.destroy();
    await reading.catch(() => undefined);
    throw error instanceof AltoError ? error : refusal('the archive', `cannot be read: ${messageOf(error)}`, error);
  }
}

class Unpacker {
  private bytes = 0;
  private entries = 0;
  /** What every name made so far is. A folder is never a link, so a path through folders stays inside. */
  private readonly made = new Map<string, 'folder' | 'file' | 'link'>([['', 'folder']]);

  constructor(
    private readonly folder: string,
    private readonly limits: UnpackLimits,
  ) {}

  async take(entry: Entry): Promise<void> {
    const { name, type, linkname, mode, size } = entry.header;
    const path = safeName(name);
    if (++this.entries > this.limits.entriesMax)
      throw refusal(name, `is one more than ${this.limits.entriesMax} entries`);
    switch (type) {
      case 'directory':
        await this.makeFolder(path, name);
        break;
      case 'file':
      case 'contiguous-file':
        this.bytes += size;
        if (this.bytes > this.limits.bytesMax) throw refusal(name, `makes it more than ${this.limits.bytesMax} bytes`);
        await this.claim(path, 'file', name);
        // Only the right to execute is taken over: no set-user-id, nobody else's write permission.
        await pipeline(
          entry as AsyncIterable<Uint8Array>,
          createWriteStream(join(this.folder, path), { flags: 'wx', mode: mode & 0o111 ? 0o755 : 0o644 }),
        );
        return;
      case 'symlink':
        requireInside(path, linkname, name);
        await this.claim(path, 'link', name);
        await symlink(linkname, join(this.folder, path));
        break;
      case 'link':
        await this.makeHardLink(path, safeName(linkname), name);
        break;
      default:
        throw refusal(name, `is a ${String(type)}, which a bundle cannot hold`);
    }
    entry.resume();
  }

  private async makeFolder(path: string, name: string): Promise<void> {
    const before = this.made.get(path);
    if (before === 'folder') return;
    if (before !== undefined) throw refusal(name, 'is there twice');
    const parent = posix.dirname(path);
    if (parent !== '.') await this.makeFolder(parent, name);
    await mkdir(join(this.folder, path), { mode: 0o755 });
    this.made.set(path, 'folder');
  }

  private async claim(path: string, kind: 'file' | 'link', name: string): Promise<void> {
    if (this.made.has(path)) throw refusal(name, 'is there twice');
    const parent = posix.dirname(path);
    if (parent !== '.') await this.makeFolder(parent, name);
    this.made.set(path, kind);
  }

  private async makeHardLink(path: string, target: string, name: string): Promise<void> {
    if (this.made.get(target) !== 'file') throw refusal(name, 'links to what is not a file before it in the archive');
    await this.claim(path, 'file', name);
    await link(join(this.folder, target), join(this.folder, path));
  }
}

/** `./a//b/` → `a/b`; '' for the folder itself. */
function safeName(name: string): string {
  if (name.includes('\0')) throw refusal(name, 'has a NUL in its name');
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw refusal(`${name.slice(0, 60)}…`, 'has too long a name');
  if (posix.isAbsolute(name)) throw refusal(name, 'has an absolute path');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refusal(name, 'leads out of the bundle');
  if (parts.length > DEPTH_MAX) throw refusal(name, `lies deeper than ${DEPTH_MAX} folders`);
  return parts.join('/');
}

/**
 * The target is relative, climbs only at its beginning and no further than to the bundle's root. Climbing later
 * could pass through another link, and then `..` is not where the text says.
 */
function requireInside(path: string, target: string, name: string): void {
  if (target === '' || target.includes('\0') || posix.isAbsolute(target))
    throw refusal(name, 'links to an absolute path');
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = parts.findIndex((part) => part !== '..');
  const count = climbs < 0 ? parts.length : climbs;
  const depth = path.split('/').length - 1;
  if (count > depth || parts.slice(count).includes('..')) throw refusal(name, 'links out of the bundle');
}

function refusal(name: string, why: string, cause?: unknown): AltoError {
  return new AltoError(
    'unprocessable',
    {
      message: `The bundle is refused: ${name} ${why}.`,
      nextStep: 'Pack the app again, with plain files and folders.',
    },
    { cause },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
