/** The official build, checked against the checksum in this repository before it is unpacked. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { releaseTarget, type ServerPackage } from './catalogue.ts';
import { run } from './run.ts';

/** @returns the path of the program inside `directory`. */
export async function downloadRelease(server: ServerPackage, directory: string): Promise<string> {
  const target = releaseTarget();
  const { release } = server;
  const checksum = release?.checksums[target];
  if (release === undefined || checksum === undefined) throw new Error(`the project publishes no build for ${target}`);
  const archive = join(directory, 'release.tar.gz');
  const content = await download(release.url(release.version, target));
  const digest = createHash('sha256').update(content).digest('hex');
  if (digest !== checksum) throw new Error(`the archive's checksum is ${digest}, expected ${checksum}`);
  await writeFile(archive, content);
  await run(['tar', '-xzf', archive, '-C', directory]);
  return join(directory, release.path(release.version, target));
}

async function download(url: string): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(120_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
