import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Header } from 'tar-stream';
import { unpack } from './unpack';

type Entry = Partial<Header> & { name: string; content?: string };

describe('unpack', () => {
  let root: string;
  let folder: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'alto-unpack-'));
    folder = join(root, 'bundle');
    await mkdir(folder);
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function archive(entries: readonly Entry[]): Promise<string> {
    const path = join(root, 'bundle.tar.gz');
    const packed = pack();
    const written = pipeline(packed, createGzip(), createWriteStream(path));
    for (const { content, ...header } of entries) packed.entry(header, content ?? '');
    packed.finalize();
    await written;
    return path;
  }

  const limits = { bytesMax: 1_000_000, entriesMax: 100 };
  const take = async (entries: readonly Entry[]) => unpack(await archive(entries), folder, limits);

  it('makes files, folders and links inside, executable where they were', async () => {
    await take([
      { name: './', type: 'directory' },
      { name: './bin/run.sh', mode: 0o4755, content: 'run' },
      { name: 'lib//deep/a.txt', mode: 0o600, content: 'a' },
      { name: 'lib/b.txt', type: 'link', linkname: './lib/deep/a.txt' },
      { name: 'lib/deep/up', type: 'symlink', linkname: '../../bin/run.sh' },
    ]);
    expect(await readFile(join(folder, 'lib/b.txt'), 'utf8')).toBe('a');
    expect(await readFile(join(folder, 'lib/deep/up'), 'utf8')).toBe('run');
    expect(await readlink(join(folder, 'lib/deep/up'))).toBe('../../bin/run.sh');
    expect((await stat(join(folder, 'bin/run.sh'))).mode & 0o7777).toBe(0o755);
    expect((await stat(join(folder, 'lib/deep/a.txt'))).mode & 0o7777).toBe(0o644);
  });

  const attacks: [string, Entry[], RegExp][] = [
    ['a name that climbs', [{ name: '../evil', content: 'x' }], /leads out/],
    ['a name that climbs later', [{ name: 'a/../../evil', content: 'x' }], /leads out/],
    ['an absolute name', [{ name: '/etc/evil', content: 'x' }], /absolute/],
    ['a link out', [{ name: 'l', type: 'symlink', linkname: '../evil' }], /links out/],
    ['an absolute link', [{ name: 'l', type: 'symlink', linkname: '/etc/passwd' }], /absolute/],
    [
      'a climb through a link that is inside itself',
      [
        { name: 'deep/nest/a', type: 'symlink', linkname: '../..' },
        { name: 'b', type: 'symlink', linkname: 'deep/nest/a/..' },
      ],
      /links out/,
    ],
    [
      'a file through a link',
      [
        { name: 'l', type: 'symlink', linkname: 'somewhere' },
        { name: 'l/evil', content: 'x' },
      ],
      /twice/,
    ],
    [
      'a file over a link',
      [
        { name: 'l', type: 'symlink', linkname: 'somewhere' },
        { name: 'l', content: 'x' },
      ],
      /twice/,
    ],
    ['a hard link out', [{ name: 'l', type: 'link', linkname: '../../etc/passwd' }], /leads out/],
    [
      'a hard link to a link',
      [
        { name: 'l', type: 'symlink', linkname: 'x' },
        { name: 'h', type: 'link', linkname: 'l' },
      ],
      /not a file/,
    ],
    ['a device', [{ name: 'd', type: 'character-device', devmajor: 1, devminor: 3 }], /character-device/],
    ['a pipe', [{ name: 'p', type: 'fifo' }], /fifo/],
    ['too many bytes', [{ name: 'big', content: 'x'.repeat(1_000_001) }], /more than 1000000 bytes/],
    ['too many entries', Array.from({ length: 101 }, (_, i) => ({ name: `f${i}` })), /more than 100 entries/],
    ['too deep a name', [{ name: `${'d/'.repeat(70)}f`, content: 'x' }], /deeper/],
    ['too long a name', [{ name: 'n'.repeat(2_000), content: 'x' }], /too long/],
  ];

  it.each(attacks)('refuses %s', async (_, entries, message) => {
    await expect(take(entries)).rejects.toThrow(message);
    expect((await readdir(root)).sort()).toEqual(['bundle', 'bundle.tar.gz']);
  });

  it('refuses what is no archive, and one that is cut short', async () => {
    const path = await archive([{ name: 'a', content: 'x'.repeat(100_000) }]);
    await expect(unpack(join(import.meta.dirname, 'unpack.ts'), folder, limits)).rejects.toThrow(/cannot be read/);
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(0, whole.length - 50));
    await expect(unpack(path, folder, limits)).rejects.toThrow(/refused/);
  });
});
