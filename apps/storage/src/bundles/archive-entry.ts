/**
 * Which entries a bundle may hold. A bundle is unpacked on many machines, so an archive that could write outside its
 * own folder is refused once, here, with the entry named.
 *
 * Why links inside the tree are safe: no entry lies below a link, so a link's own folder is a real folder; `..` may
 * only lead a link's target, so that it climbs real folders and stays within the tree; what follows are plain names,
 * which at worst meet another link of the same kind.
 */
import { AltoError } from '@alto/contracts';

export interface ArchiveEntry {
  readonly name: string;
  readonly type: string;
  readonly sizeBytes: number;
  readonly linkTarget?: string;
}

export interface ArchiveLimits {
  readonly entriesMax: number;
  readonly unpackedBytesMax: number;
}

const nameBytesMax = 4096;
const componentBytesMax = 255;
/** All names together: they are held in memory while the archive is read. */
const allNamesBytesMax = 32 * 1024 * 1024;

type Kind = 'file' | 'directory' | 'link';

const kinds: Readonly<Record<string, Kind>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'link',
  link: 'file',
};

/** Takes the entries of one archive in order. */
export class ArchiveCheck {
  private readonly seen = new Map<string, Kind>();
  private entries = 0;
  private unpackedBytes = 0;
  private nameBytes = 0;

  constructor(private readonly limits: ArchiveLimits) {}

  /** @throws AltoError `unprocessable` that names the entry and says what is wrong with it. */
  accept(entry: ArchiveEntry): void {
    this.count(entry);
    const kind = kinds[entry.type];
    if (kind === undefined) throw refused(entry, `is of type ${entry.type}; only files, folders and links are allowed`);
    const path = pathOf(entry);
    if (path.length === 0 && kind !== 'directory') throw refused(entry, 'has no name');
    this.placeFolders(entry, path);
    if (entry.type === 'symlink') checkSymbolicLink(entry, path.slice(0, -1));
    if (entry.type === 'link') this.checkHardLink(entry);
    this.place(entry, path.join('/'), kind);
  }

  private count(entry: ArchiveEntry): void {
    this.entries += 1;
    this.unpackedBytes += entry.sizeBytes;
    this.nameBytes += Buffer.byteLength(entry.name);
    if (this.entries > this.limits.entriesMax) {
      throw refused(entry, `is one more than the ${this.limits.entriesMax} entries that are allowed`);
    }
    if (this.unpackedBytes > this.limits.unpackedBytesMax) {
      throw refused(entry, `unpacks to more than the ${this.limits.unpackedBytesMax} bytes that are allowed in all`);
    }
    if (this.nameBytes > allNamesBytesMax) throw refused(entry, 'makes the names too long in all');
  }

  private placeFolders(entry: ArchiveEntry, path: readonly string[]): void {
    for (let depth = 1; depth < path.length; depth++) this.place(entry, path.slice(0, depth).join('/'), 'directory');
  }

  /** A file may come twice (the later one counts, as tar has it); anything else keeps its kind. */
  private place(entry: ArchiveEntry, path: string, kind: Kind): void {
    const before = this.seen.get(path);
    if (before !== undefined && (before !== kind || kind === 'link')) {
      throw refused(entry, `needs ${path} as a ${kind}, which came before as a ${before}`);
    }
    this.seen.set(path, kind);
  }

  private checkHardLink(entry: ArchiveEntry): void {
    const target = componentsOf(entry, entry.linkTarget ?? '', 'links to').join('/');
    if (this.seen.get(target) !== 'file')
      throw refused(entry, `links to ${entry.linkTarget}, which is no file before it`);
  }
}

function pathOf(entry: ArchiveEntry): string[] {
  return componentsOf(entry, entry.name, 'is named');
}

function componentsOf(entry: ArchiveEntry, path: string, verb: string): string[] {
  checkCharacters(entry, path, verb);
  if (path.startsWith('/')) throw refused(entry, `${verb} an absolute path`);
  const components = path.split('/').filter((component) => component !== '' && component !== '.');
  if (components.includes('..')) throw refused(entry, `${verb} a path that leaves the archive`);
  return components;
}

function checkCharacters(entry: ArchiveEntry, path: string, verb: string): void {
  if (path.includes('\0')) throw refused(entry, `${verb} a path with a NUL character`);
  if (Buffer.byteLength(path) > nameBytesMax) throw refused(entry, `${verb} a path of more than ${nameBytesMax} bytes`);
  if (path.split('/').some((component) => Buffer.byteLength(component) > componentBytesMax)) {
    throw refused(entry, `${verb} a path with a part of more than ${componentBytesMax} bytes`);
  }
}

function checkSymbolicLink(entry: ArchiveEntry, folder: readonly string[]): void {
  const target = entry.linkTarget ?? '';
  checkCharacters(entry, target, 'links to');
  if (target === '') throw refused(entry, 'links to nothing');
  if (target.startsWith('/')) throw refused(entry, 'links to an absolute path');
  const components = target.split('/').filter((component) => component !== '' && component !== '.');
  const climbs = components.findIndex((component) => component !== '..');
  const up = climbs === -1 ? components.length : climbs;
  if (up > folder.length) throw refused(entry, 'links to a path outside the archive');
  if (components.slice(up).includes('..')) throw refused(entry, "links to a path with '..' after a name");
}

function refused(entry: ArchiveEntry, why: string): AltoError {
  const name = entry.name.length > 200 ? `${entry.name.slice(0, 200)}…` : entry.name;
  return new AltoError('unprocessable', {
    message: `The bundle's entry ${JSON.stringify(name)} ${why}.`,
    field: 'body',
    nextStep: 'Make the archive from within the folder of the app, for example: tar -czf app.tar.gz -C ./app .',
    details: { entry: name },
  });
}
