import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '@alto/platform';
import { FolderGuard } from './folder-guard';
import { findExcess } from './folder-size';

const limits = { bytesMax: 1 << 20, entriesMax: 50 };

describe('the size of a working folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-folder-'));
  });
  afterEach(() => execFileSync('rm', ['-rf', '--', folder]));

  it('counts bytes on the disk, in all folders and behind no link', async () => {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    symlinkSync('/usr', join(folder, 'a/usr'));
    writeFileSync(join(folder, 'a/b/half'), Buffer.alloc(512 << 10, 1));
    expect(await findExcess(folder, limits)).toBeNull();
    writeFileSync(join(folder, 'rest'), Buffer.alloc(600 << 10, 1));
    expect(await findExcess(folder, limits)).toBe('its working folder had more than 1 MiB');
  });

  it('counts no holes', async () => {
    execFileSync('truncate', ['-s', '1T', join(folder, 'sparse')]);
    expect(await findExcess(folder, limits)).toBeNull();
  });

  it('counts files and folders', async () => {
    for (let n = 0; n < 51; n++) writeFileSync(join(folder, `${n}`), '');
    expect(await findExcess(folder, limits)).toBe('its working folder had more than 50 files and folders');
  });

  it('takes what is too deep to be measured for too much', async () => {
    const nest = `for (let n = 0; n < 24; n++) { require('fs').mkdirSync('x'.repeat(200)); process.chdir('x'.repeat(200)); }`;
    execFileSync(process.execPath, ['-e', nest], { cwd: folder });
    expect(await findExcess(folder, limits)).toMatch(/nested too deeply/);
  });

  it('is that of nothing where there is nothing', async () => {
    rmSync(folder, { recursive: true });
    expect(await findExcess(folder, limits)).toBeNull();
  });

  it('ends the instance that has too much alone, and says why', async () => {
    mkdirSync(join(folder, 'small'));
    mkdirSync(join(folder, 'large'));
    writeFileSync(join(folder, 'large/file'), Buffer.alloc(2 << 20, 1));
    const killed: (string | undefined)[][] = [];
    const guard = new FolderGuard({
      runtime: { kill: async (...what) => void killed.push(what) },
      folders: () => ['small', 'large'].map((id) => ({ id, folder: join(folder, id) })),
      limits,
      log: { warn: () => undefined } as unknown as Log,
    });
    await guard.look();
    expect(killed).toEqual([['large', 'its working folder had more than 1 MiB']]);
  });
});
