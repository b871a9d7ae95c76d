import { ObservedFileSystem } from '../blobs/observed-filesystem.fake';
import { VolatileFileSystem } from '../blobs/volatile-filesystem.fake';
import { Volume } from './volume';

describe('Volume', () => {
  it('makes its folder and keeps its identity', async () => {
    const disk = new VolatileFileSystem();
    const first = await Volume.open(disk, '/var/alto/volume');
    const second = await Volume.open(disk, '/var/alto/volume');
    expect(second.id).toBe(first.id);
    expect(await disk.list('/var/alto/volume')).toEqual(
      expect.arrayContaining(['volume.json', 'blobs', 'tmp', 'quarantine']),
    );
  });

  it('has one identity when many instances start at once', async () => {
    const disk = new VolatileFileSystem();
    const opened = await Promise.all(Array.from({ length: 5 }, () => Volume.open(disk, '/volume')));
    expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
    expect((await disk.list('/volume')).filter((name) => name.startsWith('volume.json'))).toEqual(['volume.json']);
  });

  it('keeps its identity through a power failure at any call of its first start', async () => {
    for (let crashAt = 1, crashed = true; crashed; crashAt++) {
      crashed = false;
      const disk = new VolatileFileSystem();
      let after = disk;
      const observed = new ObservedFileSystem(disk, ({ number }) => {
        if (number !== crashAt) return;
        crashed = true;
        after = disk.crash(() => false);
      });
      const before = await Volume.open(observed, '/data/volume');
      if (!crashed) after = disk.crash(() => false);
      const restarted = await Volume.open(after, '/data/volume');
      if (!crashed) expect(restarted.id).toBe(before.id);
      expect(
        (
          await Volume.open(
            after.crash(() => false),
            '/data/volume',
          )
        ).id,
      ).toBe(restarted.id);
    }
  });

  it('does not guess at an identity that it cannot read', async () => {
    const disk = new VolatileFileSystem();
    await Volume.open(disk, '/volume');
    const file = await disk.openForRead('/volume/volume.json');
    await file.write(Buffer.from('XX'), 0);
    await expect(Volume.open(disk, '/volume')).rejects.toThrow('restore it from a backup');
  });

  it('takes nothing before it is registered, nor after the disk failed', async () => {
    const volume = await Volume.open(new VolatileFileSystem(), '/volume');
    expect(() => volume.checkWritable()).toThrow('not registered');
    volume.admit();
    expect(() => volume.checkWritable()).not.toThrow();
    volume.note(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    expect(() => volume.checkWritable()).not.toThrow();
    volume.note(Object.assign(new Error('broken'), { code: 'EIO' }));
    expect(() => volume.checkWritable()).toThrow('EIO');
  });
});
