import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Releases } from './releases';

describe('Releases', () => {
  let folder: string;
  let source: string;
  let releases: Releases;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-releases-'));
    source = join(folder, 'source');
    releases = new Releases(join(folder, 'installed'), source);
    build('1');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function build(version: string): void {
    mkdirSync(join(source, 'search', version), { recursive: true });
    writeFileSync(join(source, 'search', version, 'main.mjs'), version);
    writeFileSync(join(source, 'search', version, 'manifest.json'), '{}');
    writeFileSync(join(source, 'search', 'current'), `${version}\n`);
  }

  const planned = async (choice = {}) => (await releases.ensure(['search'], choice)).get('search')?.version;

  it('takes a newer build over when nothing runs, and keeps what is in use otherwise', async () => {
    expect(await planned({ keep: true })).toBe('1');
    build('2');
    expect(await planned({ keep: true })).toBe('1');
    expect(await planned()).toBe('2');
    expect(await releases.previous('search')).toBe('1');
  });

  it('does not take the same build again after a way back', async () => {
    await planned();
    build('2');
    await planned();
    await releases.use('search', '1');
    expect(await planned()).toBe('1');
    expect(await releases.newest('search')).toBe('1');
    build('3');
    expect(await releases.newest('search')).toBe('3');
  });

  it('plans with another version without changing what is in use', async () => {
    await planned();
    build('2');
    await releases.install('search', '2');
    expect(await planned({ keep: true, versions: { search: '2' } })).toBe('2');
    expect(await releases.current('search')).toBe('1');
    expect(readFileSync(join(folder, 'installed', 'search', '2', 'main.mjs'), 'utf8')).toBe('2');
  });

  it('lists what is in use, installed and built, and names versions when asked for one that is not there', async () => {
    await planned();
    build('2');
    await planned();
    build('3');
    expect((await releases.list('search')).versions.sort((a, b) => a.version.localeCompare(b.version))).toEqual([
      { version: '1', state: 'previous' },
      { version: '2', state: 'current' },
      { version: '3', state: 'available' },
    ]);
    for (const wrong of ['9', '../search/1', '']) {
      await expect(releases.install('search', wrong)).rejects.toMatchObject({
        code: 'not_found',
        nextStep: expect.stringMatching(/Take one of these: .*3/),
      });
    }
  });

  it('keeps what is in use and the way back, and of the others the newest few', async () => {
    for (let version = 1; version <= 9; version++) {
      build(String(version));
      await planned();
    }
    rmSync(source, { recursive: true });
    expect((await releases.list('search')).versions.length).toBe(6);
    expect(await releases.current('search')).toBe('9');
    expect(await releases.previous('search')).toBe('8');
  });
});
