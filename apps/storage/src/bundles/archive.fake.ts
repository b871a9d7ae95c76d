/** Archives for tests. */
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack, type Header } from 'tar-stream';

export type FakeEntry = Partial<Header> & { readonly name: string; readonly content?: Buffer | string };

/** A tar.gz of these entries; files unless their type says otherwise. */
export async function archiveOf(...entries: readonly FakeEntry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) tar.entry(header, content ?? '');
  tar.finalize();
  return buffer(tar.pipe(createGzip({ level: 1 })));
}

/** An archive of about that size that does not compress; no two are alike. */
export function archiveOfSize(bytes: number): Promise<Buffer> {
  return archiveOf({ name: 'content.bin', content: randomBytes(bytes) });
}
