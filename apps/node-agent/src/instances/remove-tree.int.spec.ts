import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from './remove-tree';

/** Of nobody here. */
const uid = 54_321;

/** What it starts is of a user without privileges; as root the test is one meanwhile. */
async function withoutPrivileges<T>(body: () => Promise<T>): Promise<T> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(uid);
  try {
    return await body();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

describe('removing the working folder of an app', () => {
  let root: string;
  let folder: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'alto-remove-'));
    folder = join(root, 'app');
  });
  afterEach(() => {
    execFileSync('chmod', ['-R', 'u+rwX', '--', root]);
    execFileSync('rm', ['-rf', '--', root]);
  });

  /** All of it is the user's. */
  const give = () => {
    if (process.getuid?.() === 0) execFileSync('chown', ['-R', '-h', String(uid), root]);
  };

  it('removes folders that their owner may not write in, nor read, and nothing behind a link', async () => {
    const outside = join(root, 'outside');
    writeFileSync(outside, 'of somebody else');
    chmodSync(outside, 0o400);
    for (const name of ['readonly/deeper', 'closed']) mkdirSync(join(folder, name), { recursive: true });
    for (const name of ['readonly/deeper/file', 'readonly/file', 'closed/file']) writeFileSync(join(folder, name), '');
    symlinkSync(outside, join(folder, 'readonly/link'));
    give();
    chmodSync(join(folder, 'readonly/deeper'), 0o555);
    chmodSync(join(folder, 'readonly'), 0o555);
    chmodSync(join(folder, 'closed'), 0);
    await withoutPrivileges(() => removeTree(folder));
    expect(existsSync(folder)).toBe(false);
    expect(statSync(outside).mode & 0o777).toBe(0o400);
  });

  it('says what stays, briefly, where it may not', async () => {
    mkdirSync(folder);
    for (let file = 0; file < 50; file++) writeFileSync(join(folder, `file-${file}`), '');
    give();
    chmodSync(root, 0o555);
    await expect(withoutPrivileges(() => removeTree(folder))).rejects.toThrow(
      /app cannot be removed: rm: [^\n]{1,300}$/,
    );
  });

  it('has nothing to do where nothing is', async () => {
    await removeTree(folder);
  });
});
