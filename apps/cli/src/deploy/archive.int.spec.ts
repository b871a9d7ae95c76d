import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { readAppFile } from './app-file';
import { packFolder } from './archive';

describe('packing a folder', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-pack-'));
    mkdirSync(join(folder, 'src'));
    writeFileSync(join(folder, 'alto.yaml'), 'command: [node, src/main.mjs]\n');
    writeFileSync(join(folder, 'src', 'main.mjs'), 'export {};\n');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('gives the same bytes for the same content, whatever the times and modes', async () => {
    const first = await packFolder(folder);
    utimesSync(join(folder, 'alto.yaml'), 1_000, 1_000);
    chmodSync(join(folder, 'src', 'main.mjs'), 0o600);
    const second = await packFolder(folder);
    expect(second.sha256).toBe(first.sha256);
    writeFileSync(join(folder, 'src', 'main.mjs'), 'export const changed = true;\n');
    const third = await packFolder(folder);
    expect(third.sha256).not.toBe(first.sha256);
    for (const archive of [first, second, third]) await archive.remove();
  });

  it('leaves out what .gitignore and .altoignore name, and keeps links and what is executable', async () => {
    writeFileSync(join(folder, '.gitignore'), 'node_modules/\n*.log\n');
    writeFileSync(join(folder, '.altoignore'), 'notes.md\n');
    mkdirSync(join(folder, 'node_modules'));
    for (const name of ['node_modules/x.js', 'a.log', 'notes.md', 'run.sh']) writeFileSync(join(folder, name), name);
    chmodSync(join(folder, 'run.sh'), 0o755);
    symlinkSync('run.sh', join(folder, 'start'));
    const archive = await packFolder(folder);
    expect(await entriesOf(archive.path)).toEqual([
      'alto.yaml file 644',
      'run.sh file 755',
      'src/main.mjs file 644',
      'start symlink 777',
    ]);
    await archive.remove();
  });

  it('reads alto.yaml by the schema of the API and names every fault', () => {
    expect(readAppFile(folder, 'shop')).toMatchObject({ command: ['node', 'src/main.mjs'], replicas: 1, hosts: [] });
    writeFileSync(join(folder, 'alto.yaml'), 'comand: [node]\nreplicas: -1\n');
    expect(() => readAppFile(folder, 'shop')).toThrow(/command[\s\S]*replicas|replicas[\s\S]*command/);
  });
});

async function entriesOf(path: string): Promise<string[]> {
  const entries: string[] = [];
  const archive = extract();
  archive.end(gunzipSync(readFileSync(path)));
  for await (const entry of archive) {
    const { name, type, mode = 0 } = entry.header;
    entries.push(`${name} ${type} ${mode.toString(8)}`);
    entry.resume();
  }
  return entries;
}
