/** Files that are whole or absent, so that first start can be killed anywhere and resumed. */
import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { chmod, copyFile, cp, link, mkdir, open, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes, flushes to disk and renames into place. */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const partial = partialName(path);
  const file = await open(partial, 'wx', mode);
  try {
    await file.chmod(mode); // whatever the umask says
    await file.writeFile(content);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

/** The file's content, made by `make` the first time. */
export async function keptText(path: string, make: () => string | Promise<string>, mode = 0o600): Promise<string> {
  if (!existsSync(path)) await writeWhole(path, await make(), mode);
  return await readFile(path, 'utf8');
}

/** Leaves a file alone that already says this, so that its time of change means something. */
export async function writeIfChanged(path: string, content: string, mode = 0o600): Promise<void> {
  const present = await readFile(path, 'utf8').catch(() => undefined);
  if (present !== content) await writeWhole(path, content, mode);
}

/** Copies a folder, readable by all users of the machine, unless it is there already. */
export async function copyFolder(from: string, to: string): Promise<void> {
  if (existsSync(to)) return;
  const partial = partialName(to);
  await mkdir(dirname(to), { recursive: true });
  try {
    await cp(from, partial, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    await rename(partial, to);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another start of the same Alto was faster.
    if (!existsSync(to)) throw error;
  }
}

/** A second name for a file, or a copy where the two lie on different disks. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  if (existsSync(to)) return;
  const partial = partialName(to);
  await mkdir(dirname(to), { recursive: true });
  await link(from, partial).catch(async () => {
    await copyFile(from, partial, constants.COPYFILE_FICLONE);
    await chmod(partial, 0o755);
  });
  await rename(partial, to);
}

/** Points a symbolic link at `target`, replacing what it pointed at in one step. */
export async function pointLink(path: string, target: string): Promise<void> {
  if ((await readlink(path).catch(() => undefined)) === target) return;
  const partial = partialName(path);
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, partial);
  await rename(partial, path);
}

function partialName(path: string): string {
  return `${path}.partial-${process.pid}-${randomBytes(4).toString('hex')}`;
}
