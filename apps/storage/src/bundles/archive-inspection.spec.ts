import { archiveOf, archiveOfSize } from './archive.fake';
import { ArchiveInspection } from './archive-inspection';

const limits = { entriesMax: 100, unpackedBytesMax: 10_000_000 };

async function inspect(archive: Buffer, chunkBytes = 1_000): Promise<void> {
  const inspection = new ArchiveInspection(limits);
  try {
    for (let start = 0; start < archive.length; start += chunkBytes) {
      await inspection.write(archive.subarray(start, start + chunkBytes));
    }
    await inspection.finish();
  } finally {
    inspection.destroy();
  }
}

describe('ArchiveInspection', () => {
  it.each([1, 7, 1_000, 10_000_000])('accepts a bundle in chunks of %i bytes', async (chunkBytes) => {
    const archive = await archiveOf(
      { name: './', type: 'directory' },
      { name: './index.js', content: 'console.log(1)' },
      { name: './bin/run', type: 'symlink', linkname: '../index.js' },
    );
    await inspect(archive, chunkBytes);
  });

  it('accepts a larger one with back-pressure', async () => {
    await inspect(await archiveOfSize(5_000_000), 65_536);
  });

  it.each([
    ['what is not gzip', async () => Buffer.from('PK\x03\x04 and so on'), 'unsupported_media_type'],
    ['nothing', async () => Buffer.alloc(0), 'unsupported_media_type'],
    ['a single byte', async () => Buffer.from([0x1f]), 'unsupported_media_type'],
    ['an archive without entries', () => archiveOf(), 'unprocessable'],
    ['one that is cut short', async () => (await archiveOfSize(50_000)).subarray(0, 30_000), 'unprocessable'],
    ['a damaged one', async () => flip(await archiveOfSize(50_000), 20_000), 'unprocessable'],
    [
      'a file outside',
      () => archiveOf({ name: '../evil', content: 'x' }, { name: 'b', content: 'x' }),
      'unprocessable',
    ],
    ['a device', () => archiveOf({ name: 'dev', type: 'block-device' }), 'unprocessable'],
    ['a bomb', () => archiveOf({ name: 'zeros', content: Buffer.alloc(11_000_000) }), 'unprocessable'],
  ])('refuses %s', async (_, archive, code) => {
    await expect(inspect(await archive())).rejects.toMatchObject({ code });
  });

  it('refuses a bomb before it has all of it', async () => {
    const bomb = await archiveOf({ name: 'zeros', content: Buffer.alloc(11_000_000) }, { name: 'after' });
    const inspection = new ArchiveInspection(limits);
    const written = (async () => {
      for (let start = 0; start < bomb.length - 100; start += 100) {
        await inspection.write(bomb.subarray(start, start + 100));
      }
    })();
    await expect(written).rejects.toMatchObject({ details: { entry: 'zeros' } });
    inspection.destroy();
  });
});

function flip(archive: Buffer, at: number): Buffer {
  const damaged = Buffer.from(archive);
  damaged[at]! ^= 0xff;
  return damaged;
}
