/** Wraps a file system so that a test sees each call before it is made, and may fail or kill there. */
import { FileSystem, type FileFacts, type OpenFile } from './filesystem';

export interface FileCall {
  readonly name: string;
  readonly path: string;
  /** Counts from 1. */
  readonly number: number;
}

/** @param observe runs before each call; what it throws is thrown instead of making the call. */
export class ObservedFileSystem extends FileSystem {
  private calls = 0;

  constructor(
    private readonly inner: FileSystem,
    private readonly observe: (call: FileCall) => void,
  ) {
    super();
  }

  async create(path: string): Promise<OpenFile> {
    this.before('create', path);
    return this.observed(await this.inner.create(path), path);
  }

  async openForRead(path: string): Promise<OpenFile> {
    this.before('openForRead', path);
    return this.observed(await this.inner.openForRead(path), path);
  }

  async makeDirectory(path: string): Promise<void> {
    this.before('makeDirectory', path);
    await this.inner.makeDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.before('syncDirectory', path);
    await this.inner.syncDirectory(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.before('rename', to);
    await this.inner.rename(from, to);
  }

  async link(from: string, to: string): Promise<void> {
    this.before('link', to);
    await this.inner.link(from, to);
  }

  async remove(path: string): Promise<void> {
    this.before('remove', path);
    await this.inner.remove(path);
  }

  async list(path: string): Promise<string[]> {
    this.before('list', path);
    return this.inner.list(path);
  }

  async facts(path: string): Promise<FileFacts> {
    this.before('facts', path);
    return this.inner.facts(path);
  }

  async freeBytes(path: string): Promise<number> {
    this.before('freeBytes', path);
    return this.inner.freeBytes(path);
  }

  private before(name: string, path: string): void {
    this.calls += 1;
    this.observe({ name, path, number: this.calls });
  }

  private observed(file: OpenFile, path: string): OpenFile {
    return {
      write: async (data, position) => {
        this.before('write', path);
        await file.write(data, position);
      },
      read: async (into, position) => {
        this.before('read', path);
        return file.read(into, position);
      },
      size: async () => {
        this.before('size', path);
        return file.size();
      },
      dataSync: async () => {
        this.before('dataSync', path);
        await file.dataSync();
      },
      close: async () => {
        // The kernel gives the descriptor back even where closing fails.
        try {
          this.before('close', path);
        } finally {
          await file.close();
        }
      },
    };
  }
}
