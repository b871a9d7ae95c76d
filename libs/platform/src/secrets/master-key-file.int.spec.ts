import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addMasterKey, removeMasterKey } from './master-key-file';
import { MasterKeys } from './master-keys';

const first = Buffer.alloc(32, 7).toString('base64');
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-keys-'));
  path = join(folder, 'master.key');
  writeFileSync(path, `${first}\n`, { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('gets a new key, which seals, beside those that it has; nobody else can read it, and nothing is left beside it', async () => {
  const [old] = MasterKeys.fromFile(path).ids;
  const id = await addMasterKey(path);
  const keys = MasterKeys.fromFile(path);
  expect([keys.ids, keys.newest]).toEqual([[old, id], id]);
  expect([statSync(path).mode & 0o777, readdirSync(folder)]).toEqual([0o600, ['master.key']]);
});

it('loses a key that is named, and never the newest', async () => {
  const [old] = MasterKeys.fromFile(path).ids;
  const [second, third] = [await addMasterKey(path), await addMasterKey(path)];
  expect(await removeMasterKey(path, second)).toBe(second);
  expect(MasterKeys.fromFile(path).ids).toEqual([old, third]);
  await expect(removeMasterKey(path, third)).rejects.toThrow('add another one first');
  await expect(removeMasterKey(path, second)).rejects.toThrow('holds no master key');
  await removeMasterKey(path, old!);
  expect(readFileSync(path, 'utf8')).not.toContain(first);
});

it('stays as it is when it has as many keys as it may, or cannot be read', async () => {
  for (let count = 1; count < 16; count++) await addMasterKey(path);
  const before = readFileSync(path, 'utf8');
  await expect(addMasterKey(path)).rejects.toThrow('16 are the most');
  expect(readFileSync(path, 'utf8')).toBe(before);
  writeFileSync(path, 'not a key\n');
  await expect(addMasterKey(path)).rejects.toThrow('is not 32 bytes in base64');
  expect(readFileSync(path, 'utf8')).toBe('not a key\n');
});
