import { randomBytes } from 'node:crypto';
import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { newId } from '@alto/contracts';
import { BlobFiles } from './blob-files';
import { ObservedFileSystem, type FileCall } from './observed-filesystem.fake';
import { blockBytes } from './trailer';
import { VolatileFileSystem } from './volatile-filesystem.fake';

const project = 'prj_01k3aaaaaaaaaaaaaaaaaaaaaa';
const createdAt = '2026-01-01T00:00:00.000Z';

async function writeBlob(files: BlobFiles, blob: string, content: Buffer): Promise<void> {
  const writer = await files.create(blob);
  for (let start = 0; start < content.length; start += 300_000) {
    await writer.write(content.subarray(start, start + 300_000));
  }
  await writer.finish();
  await writer.publish({ blob, project, createdAt });
}

async function readBlob(files: BlobFiles, blob: string): Promise<Buffer> {
  const reader = await files.open(blob);
  const blocks: Buffer[] = [];
  for await (const block of reader.blocks()) blocks.push(block);
  return Buffer.concat(blocks);
}

const bytes = randomBytes(2 * blockBytes + 7);

function contentOf(length: number): Buffer {
  return bytes.subarray(0, length);
}

async function volume(files = new VolatileFileSystem()): Promise<BlobFiles> {
  const blobs = new BlobFiles(files, '/');
  await blobs.prepare();
  return blobs;
}

describe('BlobFiles', () => {
  it.each([0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes + 7])(
    'gives back %i bytes',
    async (length) => {
      const files = await volume();
      const blob = newId('blob');
      await writeBlob(files, blob, contentOf(length));
      expect((await readBlob(files, blob)).equals(contentOf(length))).toBe(true);
    },
  );

  it('says so when the file is missing, cut short or that of another blob', async () => {
    const disk = new VolatileFileSystem();
    const files = await volume(disk);
    const [whole, other] = [newId('blob'), newId('blob')];
    await expect(files.open(whole)).rejects.toMatchObject({ code: 'corrupt_data' });
    await writeBlob(files, whole, contentOf(10));
    await writeBlob(files, other, contentOf(10));
    await disk.remove(files.path(other));
    await disk.rename(files.path(whole), files.path(other));
    await expect(files.open(other)).rejects.toMatchObject({ message: `The file of ${other} holds ${whole}.` });
    const cut = newId('blob');
    await writeBlob(files, cut, contentOf(10));
    await disk.remove(files.path(cut));
    await (await disk.create(files.path(cut))).write(contentOf(10), 0);
    await expect(files.open(cut)).rejects.toMatchObject({ code: 'corrupt_data' });
  });

  it('lets no flipped byte out, wherever it is', async () => {
    const disk = new VolatileFileSystem();
    const files = await volume(disk);
    const blob = newId('blob');
    const content = contentOf(blockBytes + 500);
    await writeBlob(files, blob, content);
    const { sizeBytes } = await disk.facts(files.path(blob));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: sizeBytes - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const file = await disk.openForRead(files.path(blob));
          const before = Buffer.alloc(1);
          await file.read(before, at);
          await file.write(Buffer.from([before[0]! ^ flip]), at);
          try {
            await expect(readBlob(files, blob)).rejects.toMatchObject({ code: 'corrupt_data' });
          } finally {
            await file.write(before, at);
          }
        },
      ),
      runs(60),
    );
  });

  it('answers only after fdatasync of the file and fsync of its directory and of every new directory', async () => {
    const calls: FileCall[] = [];
    const disk = new ObservedFileSystem(new VolatileFileSystem(), (call) => calls.push(call));
    const files = new BlobFiles(disk, '/');
    await files.prepare();
    const blob = newId('blob');
    calls.length = 0;
    await writeBlob(files, blob, contentOf(10));
    const [, , first, second] = files.path(blob).split('/');
    expect(calls.map(({ name, path }) => `${name} ${path}`)).toEqual([
      `create /tmp/${blob}`,
      `write /tmp/${blob}`,
      `write /tmp/${blob}`,
      `dataSync /tmp/${blob}`,
      `close /tmp/${blob}`,
      `makeDirectory /blobs/${first}`,
      'syncDirectory /blobs',
      `makeDirectory /blobs/${first}/${second}`,
      `syncDirectory /blobs/${first}`,
      `rename ${files.path(blob)}`,
      `syncDirectory /blobs/${first}/${second}`,
    ]);
  });

  it('syncs the parents of a directory that another process made', async () => {
    const disk = new VolatileFileSystem();
    const [mine, theirs] = [await volume(disk), new BlobFiles(disk, '/')];
    const blob = newId('blob');
    const [, , first, second] = mine.path(blob).split('/');
    await disk.makeDirectory(`/blobs/${first}`);
    await disk.makeDirectory(`/blobs/${first}/${second}`);
    await writeBlob(theirs, blob, contentOf(10));
    const after = new BlobFiles(
      disk.crash(() => false),
      '/',
    );
    expect((await readBlob(after, blob)).equals(contentOf(10))).toBe(true);
  });

  it('keeps what it acknowledged through a power failure at any call, and never shows half a blob', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.infiniteStream(fc.boolean()), async (crashAt, luck) => {
        const disk = new VolatileFileSystem();
        await volume(disk);
        let afterCrash: VolatileFileSystem | undefined;
        const observed = new ObservedFileSystem(disk, ({ number }) => {
          if (number === crashAt) afterCrash = disk.crash(() => luck.next().value as boolean);
        });
        const files = new BlobFiles(observed, '/');
        const blobs = [newId('blob'), newId('blob'), newId('blob')];
        const acknowledged = new Set<string>();
        for (const blob of blobs) {
          await writeBlob(files, blob, contentOf(2_000));
          if (afterCrash === undefined) acknowledged.add(blob);
        }
        afterCrash ??= disk.crash(() => false);
        const survivors = new BlobFiles(afterCrash, '/');
        for (const blob of blobs) {
          const outcome = await readBlob(survivors, blob).catch((error: { code: string }) => error.code);
          if (acknowledged.has(blob) || outcome !== 'corrupt_data') expect(outcome).toEqual(contentOf(2_000));
        }
      }),
      runs(300),
    );
  });

  it('reports each failing call and leaves nothing that could be taken for a blob', async () => {
    for (let failing = 1; failing <= 10; failing++) {
      const disk = new VolatileFileSystem();
      await volume(disk);
      const observed = new ObservedFileSystem(disk, ({ number }) => {
        if (number === failing) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      });
      const blob = newId('blob');
      await expect(writeBlob(new BlobFiles(observed, '/'), blob, contentOf(10))).rejects.toMatchObject({ code: 'EIO' });
      await expect(new BlobFiles(disk, '/').open(blob)).rejects.toMatchObject({ code: 'corrupt_data' });
    }
  });
});
