import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterKeys } from './master-keys';

const key = Buffer.alloc(32, 7).toString('base64');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-keys-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('are read from a file that its owner alone may reach', () => {
  const path = join(folder, 'master.key');
  writeFileSync(path, `${key}\n`, { mode: 0o600 });
  expect(MasterKeys.fromFile(path).newest).toBe(MasterKeys.parse(key, 'the test').newest);
  for (const mode of [0o640, 0o604, 0o660]) {
    chmodSync(path, mode);
    expect(() => MasterKeys.fromFile(path)).toThrow(`chmod 600 ${path}`);
  }
});

it('say which file is missing', () => {
  expect(() => MasterKeys.fromFile(join(folder, 'none'))).toThrow(/none cannot be read \(ENOENT\)/);
});
