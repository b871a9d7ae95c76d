/** Changes the file of the master keys: whole or not at all, and never readable by others, not even for a moment. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MasterKeys, masterKeyBytes, MasterKeysError } from './master-keys';

/** Adds a new key, which seals from now on. @returns its id. @throws MasterKeysError */
export async function addMasterKey(path: string): Promise<string> {
  MasterKeys.fromFile(path);
  const text = await readFile(path, 'utf8');
  const added = `${text.trimEnd()}\n${randomBytes(masterKeyBytes).toString('base64')}\n`;
  const { newest } = MasterKeys.parse(added, path);
  await replace(path, added);
  return newest;
}

/** Takes one away for good: what it has sealed cannot be opened any more. @returns its id. @throws MasterKeysError */
export async function removeMasterKey(path: string, id: string): Promise<string> {
  const keys = MasterKeys.fromFile(path);
  if (!keys.ids.includes(id)) throw new MasterKeysError(`${path} holds no master key ${id}.`);
  if (keys.newest === id)
    throw new MasterKeysError(`Master key ${id} is the newest of ${path}: add another one first.`);
  const words = (await readFile(path, 'utf8')).split(/[\s,]+/).filter((word) => word !== '');
  const kept = words.filter((word) => MasterKeys.parse(word, path).newest !== id);
  await replace(path, `${kept.join('\n')}\n`);
  return id;
}

/** The owner stays the same, for who reads the file need not be who changes it. */
async function replace(path: string, text: string): Promise<void> {
  const { uid, gid } = await stat(path);
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await own(file, uid, gid);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const folder = await open(dirname(path), 'r');
  await folder.sync().finally(() => folder.close());
}

async function own(file: FileHandle, uid: number, gid: number): Promise<void> {
  const is = await file.stat();
  if (is.uid !== uid || is.gid !== gid) await file.chown(uid, gid);
}
