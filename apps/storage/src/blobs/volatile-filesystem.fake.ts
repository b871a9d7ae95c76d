/**
 * A file system in memory that forgets at a crash what was not synced, as a disk may: content since the last
 * `dataSync`, names since the last `syncDirectory`. A power failure cannot be had in a test; this is its fake.
 */
import { basename, dirname } from 'node:path';
import { FileSystem, type FileFacts, type OpenFile } from './filesystem';

interface FileNode {
  live: Buffer;
  synced: Buffer;
  readonly modifiedAtMs: number;
}

interface DirectoryNode {
  live: Map<string, Node>;
  synced: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

export class VolatileFileSystem extends FileSystem {
  constructor(private readonly root: DirectoryNode = { live: new Map(), synced: new Map() }) {
    super();
  }

  /**
   * The file system after a crash. @param keeps asked for each file and directory: whether its unsynced changes
   * happen to be on disk all the same.
   */
  crash(keeps: () => boolean): VolatileFileSystem {
    const copies = new Map<Node, Node>();
    return new VolatileFileSystem(survivor(this.root, keeps, copies) as DirectoryNode);
  }

  async create(path: string): Promise<OpenFile> {
    const { parent, name } = this.place(path);
    if (parent.live.has(name)) throw failure('EEXIST', path);
    const file: FileNode = { live: Buffer.alloc(0), synced: Buffer.alloc(0), modifiedAtMs: Date.now() };
    parent.live.set(name, file);
    return openFile(file);
  }

  async openForRead(path: string): Promise<OpenFile> {
    return openFile(this.file(path));
  }

  async makeDirectory(path: string): Promise<void> {
    const { parent, name } = this.place(path);
    if (parent.live.has(name)) throw failure('EEXIST', path);
    parent.live.set(name, { live: new Map(), synced: new Map() });
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = this.directory(path);
    directory.synced = new Map(directory.live);
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.place(from);
    const node = source.parent.live.get(source.name);
    if (node === undefined) throw failure('ENOENT', from);
    const target = this.place(to);
    target.parent.live.set(target.name, node);
    source.parent.live.delete(source.name);
  }

  async link(from: string, to: string): Promise<void> {
    const file = this.file(from);
    const { parent, name } = this.place(to);
    if (parent.live.has(name)) throw failure('EEXIST', to);
    parent.live.set(name, file);
  }

  async remove(path: string): Promise<void> {
    const { parent, name } = this.place(path);
    if (!parent.live.delete(name)) throw failure('ENOENT', path);
  }

  async list(path: string): Promise<string[]> {
    return [...this.directory(path).live.keys()];
  }

  async facts(path: string): Promise<FileFacts> {
    const { live, modifiedAtMs } = this.file(path);
    return { sizeBytes: live.length, modifiedAtMs };
  }

  async freeBytes(): Promise<number> {
    return Number.MAX_SAFE_INTEGER;
  }

  private place(path: string): { parent: DirectoryNode; name: string } {
    return { parent: this.directory(dirname(path)), name: basename(path) };
  }

  private directory(path: string): DirectoryNode {
    const node = this.find(path);
    if (!isDirectory(node)) throw failure('ENOTDIR', path);
    return node;
  }

  private file(path: string): FileNode {
    const node = this.find(path);
    if (isDirectory(node)) throw failure('EISDIR', path);
    return node;
  }

  private find(path: string): Node {
    let node: Node | undefined = this.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      node = node !== undefined && isDirectory(node) ? node.live.get(name) : undefined;
    }
    if (node === undefined) throw failure('ENOENT', path);
    return node;
  }
}

function openFile(file: FileNode): OpenFile {
  return {
    async write(data, position) {
      const grown = Buffer.alloc(Math.max(file.live.length, position + data.byteLength));
      file.live.copy(grown);
      grown.set(data, position);
      file.live = grown;
    },
    async read(into, position) {
      const part = file.live.subarray(position, position + into.byteLength);
      into.set(part);
      return part.length;
    },
    size: async () => file.live.length,
    async dataSync() {
      file.synced = Buffer.from(file.live);
    },
    close: async () => undefined,
  };
}

function survivor(node: Node, keeps: () => boolean, copies: Map<Node, Node>): Node {
  const known = copies.get(node);
  if (known !== undefined) return known;
  if (!isDirectory(node)) {
    const content = keeps() ? node.live : node.synced;
    const file: FileNode = { ...node, live: content, synced: content };
    copies.set(node, file);
    return file;
  }
  const names = keeps() ? node.live : node.synced;
  const copied = new Map(Array.from(names, ([name, child]) => [name, survivor(child, keeps, copies)]));
  return { live: copied, synced: new Map(copied) };
}

function isDirectory(node: Node): node is DirectoryNode {
  return node.live instanceof Map;
}

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
