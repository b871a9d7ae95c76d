import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keptPrograms } from './kept-programs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-programs-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(name: string, ...path: string[]): string {
  const file = join(folder, ...path, name);
  mkdirSync(join(folder, ...path), { recursive: true });
  writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 });
  return file;
}

describe('the programs of a sandbox', () => {
  it('that were named once are found by an agent that is started without their names', async () => {
    const kept = join(folder, 'runtime', 'bin');
    const given = { bwrap: program('bwrap', 'unpacked'), nft: program('nft', 'unpacked') };
    expect(await keptPrograms('', given, kept)).toMatchObject(given);
    expect(await keptPrograms('', {}, kept)).toMatchObject(given);
    const newer = { ...given, bwrap: program('bwrap', 'newer') };
    expect(await keptPrograms('', { bwrap: newer.bwrap }, kept)).toMatchObject(newer);
    expect(await keptPrograms('', {}, kept)).toMatchObject(newer);
  });

  it('that are not there any more are looked for like others', async () => {
    const kept = join(folder, 'runtime', 'bin');
    await keptPrograms('', { bwrap: program('bwrap', 'unpacked') }, kept);
    rmSync(join(folder, 'unpacked'), { recursive: true });
    const present = program('bwrap', 'present');
    expect(await keptPrograms(join(folder, 'present'), {}, kept)).toMatchObject({ bwrap: present });
  });
});
