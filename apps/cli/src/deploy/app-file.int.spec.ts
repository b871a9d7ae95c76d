import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAppFile } from './app-file';

describe('the name of an app', () => {
  let root: string;
  const folderOf = (name: string, text = '') => {
    const folder = join(root, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'alto.yaml'), `command: [node, server.mjs]\n${text}`);
    return folder;
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'alto-app-file-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is what was asked for, else what the file says, else the folder', () => {
    expect(readAppFile(folderOf('shop')).name).toBe('shop');
    const named = folderOf('My Shop', 'name: store\n');
    expect(readAppFile(named).name).toBe('store');
    expect(readAppFile(named, 'stall').name).toBe('stall');
  });

  it.each([
    ['My Shop', undefined],
    ['shop', 'My Stall'],
  ])('that cannot be one is refused with where to write another (folder %p, given %p)', (folder, given) => {
    const read = () => readAppFile(folderOf(folder), given);
    expect(read).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/^'My S\w+' cannot be the name of an app: it must be lower-case letters/),
        nextStep: expect.stringContaining('`name: <name>`'),
      }),
    );
  });
});
