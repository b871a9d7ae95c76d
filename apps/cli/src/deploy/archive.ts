/**
 * A folder as a tar.gz that is the same to the byte whenever the content is the same: sorted, no times, no owners,
 * modes reduced to "executable or not". The same content then is the same bundle, and is stored once.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import ignore, { type Ignore } from 'ignore';
import { pack, type Pack } from 'tar-stream';
import { CommandError } from '../failure';

export interface Archive {
  path: string;
  /** Of the archive, lower-case hex. */
  sha256: string;
  sizeBytes: number;
  files: number;
  remove(): Promise<void>;
}

const alwaysIgnored = ['.git/', '.altoignore', '.gitignore', '.DS_Store'];

/** @param interrupted ends it; nothing of the archive is left then, as after any failure */
export async function packFolder(directory: string, interrupted?: AbortSignal): Promise<Archive> {
  const rules = await ignoreRules(directory);
  const paths = await collectFiles(directory, directory, rules);
  if (paths.length === 0)
    throw new CommandError(`${directory} holds no file that is not ignored.`, 'See its .gitignore and .altoignore.');
  const folder = await mkdtemp(join(tmpdir(), 'alto-deploy-'));
  const path = join(folder, 'bundle.tar.gz');
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    const archive = pack();
    const written = pipeline(archive, createGzip({ level: 6 }), createWriteStream(path), { signal: interrupted });
    const filled = fill(archive, directory, paths, interrupted);
    await Promise.all([written, filled]);
    interrupted?.throwIfAborted();
    return { path, sha256: await digest(path), sizeBytes: (await stat(path)).size, files: paths.length, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function ignoreRules(directory: string): Promise<Ignore> {
  const rules = ignore().add(alwaysIgnored);
  for (const file of ['.gitignore', '.altoignore']) {
    rules.add(await readFile(join(directory, file), 'utf8').catch(() => ''));
  }
  return rules;
}

/** Paths of files and links below `folder`, relative to `root`, in byte order. */
async function collectFiles(root: string, folder: string, rules: Ignore): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = relative(root, join(folder, entry.name)).split(sep).join('/');
    if (rules.ignores(entry.isDirectory() ? `${path}/` : path)) continue;
    if (entry.isDirectory()) found.push(...(await collectFiles(root, join(folder, entry.name), rules)));
    else if (entry.isFile() || entry.isSymbolicLink()) found.push(path);
  }
  return found.sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

async function fill(
  archive: Pack,
  directory: string,
  paths: readonly string[],
  interrupted?: AbortSignal,
): Promise<void> {
  for (const path of paths) {
    interrupted?.throwIfAborted();
    await addEntry(archive, join(directory, path), path);
  }
  archive.finalize();
}

async function addEntry(archive: Pack, file: string, name: string): Promise<void> {
  const info = await lstat(file);
  const fixed = { name, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' };
  if (info.isSymbolicLink()) {
    archive.entry({ ...fixed, type: 'symlink', linkname: await readlink(file), mode: 0o777 });
    return;
  }
  const mode = (info.mode & 0o111) === 0 ? 0o644 : 0o755;
  await pipeline(createReadStream(file), archive.entry({ ...fixed, type: 'file', size: info.size, mode }));
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
