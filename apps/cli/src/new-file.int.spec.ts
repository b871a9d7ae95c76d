import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeNewFile } from './new-file';

describe('a file for what is shown only once', () => {
  let folder: string;
  let path: string;
  let made = 0;
  const make = () => Promise.resolve(`secret ${++made}`);
  const asText = (text: string) => `${text}\n`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-new-file-'));
    path = join(folder, 'feed.creds');
    made = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('holds it for its owner alone', async () => {
    expect(await writeNewFile(path, make, asText)).toBe('secret 1');
    expect(readFileSync(path, 'utf8')).toBe('secret 1\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('that is there already is left as it is, and nothing is made', async () => {
    writeFileSync(path, 'mine');
    await expect(writeNewFile(path, make, asText)).rejects.toMatchObject({
      message: `There is a file ${path} already.`,
      nextStep: expect.stringContaining('--out'),
    });
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(made).toBe(0);
  });

  it('in a folder that is not there lets nothing be made', async () => {
    await expect(writeNewFile(join(folder, 'none', 'key'), make, asText)).rejects.toThrow('cannot be written');
    expect(made).toBe(0);
  });

  it('is not left behind when nothing was made', async () => {
    await expect(writeNewFile(path, () => Promise.reject(new Error('refused')), asText)).rejects.toThrow('refused');
    expect(existsSync(path)).toBe(false);
  });
});
