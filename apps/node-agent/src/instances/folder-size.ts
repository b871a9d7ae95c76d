/** How much a folder holds, counted no further than it may. */
import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface FolderLimits {
  bytesMax: number;
  entriesMax: number;
}

/** @returns what it has too much of, in words; null while it is within its limits */
export async function findExcess(folder: string, { bytesMax, entriesMax }: FolderLimits): Promise<string | null> {
  let bytes = 0;
  let entries = 0;
  const waiting = [folder];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const found = await entriesOf(next);
    if (found === 'too deep') return 'its working folder has folders nested too deeply to be measured';
    entries += found.length;
    if (entries > entriesMax) return `its working folder had more than ${entriesMax} files and folders`;
    for (const entry of found) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      bytes += await bytesOf(path);
      if (bytes > bytesMax) return `its working folder had more than ${mebibytes(bytesMax)}`;
    }
  }
  return null;
}

/** Files come and go while they are counted. */
async function entriesOf(folder: string): Promise<Dirent[] | 'too deep'> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENAMETOOLONG' ? 'too deep' : [];
  }
}

/** What it takes of the disk: a file may be longer, or have been given several names. */
async function bytesOf(path: string): Promise<number> {
  return await lstat(path).then(
    (found) => (found.blocks * 512) / (found.isDirectory() ? 1 : Math.max(1, found.nlink)),
    () => 0,
  );
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
