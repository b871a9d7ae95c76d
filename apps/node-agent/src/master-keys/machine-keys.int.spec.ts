import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MasterKey } from '@alto/contracts';
import { MasterKeys, sealSecret } from '@alto/platform';
import { MachineKeys } from './machine-keys';

const place = { project: 'prj_a', name: 'TOKEN', version: 1 };
let folder: string;
let file: string;
let told: MasterKey[] | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-machine-'));
  file = join(folder, 'master.key');
  writeFileSync(file, `${Buffer.alloc(32, 5).toString('base64')}\n`, { mode: 0o600 });
  told = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function keysWith(sealed: (string | null)[] = []): MachineKeys {
  const secretEnv = sealed.map((text) => ({ name: 'TOKEN', version: 1, sealed: text }));
  const compute = { call: () => Promise.resolve({ items: told }) as never };
  return new MachineKeys({ file, compute: () => (told ? compute : undefined), instances: () => [{ secretEnv }] });
}

const knownAs = (id: string, more: Partial<MasterKey>): MasterKey => ({
  id,
  state: 'opening',
  values: 0,
  machines: 0,
  inUse: false,
  reason: 'it opens nothing any more and can be retired',
  ...more,
});

it('tells compute which keys the machine has, and which of them what lies on its disk needs', () => {
  const sealed = sealSecret(MasterKeys.fromFile(file), 'value', place);
  const [id] = MasterKeys.fromFile(file).ids;
  expect(keysWith([sealed, sealed, null, 'not sealed at all']).describe()).toEqual({
    masterKeys: [id],
    sealedWith: [id],
  });
  rmSync(file);
  expect(keysWith().describe()).toEqual({ sealedWith: [] });
});

it('takes a key away only when compute says that nothing needs it', async () => {
  const [old] = MasterKeys.fromFile(file).ids;
  const { id: fresh } = await keysWith().rotate();
  await expect(keysWith().retire(old!)).rejects.toMatchObject({ code: 'not_found' });
  told = [knownAs(old!, { inUse: true, values: 3, reason: 'it still opens 3 values' })];
  await expect(keysWith().retire(old!)).rejects.toMatchObject({
    code: 'conflict',
    message: `Master key ${old} cannot be retired: it still opens 3 values.`,
  });
  told = undefined;
  await expect(keysWith().retire(old!)).rejects.toMatchObject({ code: 'service_unavailable' });
  expect(MasterKeys.fromFile(file).ids).toEqual([old, fresh]);
  told = [knownAs(old!, {})];
  expect(await keysWith().retire(old!)).toEqual({ id: old });
  expect(MasterKeys.fromFile(file).ids).toEqual([fresh]);
});
