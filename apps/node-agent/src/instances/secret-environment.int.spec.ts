import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@alto/contracts';
import { MasterKeys, sealSecret } from '@alto/platform';
import { secretEnvironment } from './secret-environment';

const text = Buffer.alloc(32, 3).toString('base64');
const keys = MasterKeys.parse(text, 'the test');
const project = newId('project');
const sealed = (name: string, version: number, value: string) => ({
  name,
  version,
  sealed: sealSecret(keys, value, { project, name, version }),
});
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-secrets-'));
  file = join(folder, 'master.key');
  writeFileSync(file, text, { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('is what was sealed for the instance', () => {
  const secretEnv = [sealed('TOKEN', 3, 'hunter2'), sealed('OTHER', 1, 'x')];
  expect(secretEnvironment({ project, secretEnv }, file)).toEqual({ TOKEN: 'hunter2', OTHER: 'x' });
});

it('needs no key where there are no secrets', () => {
  expect(secretEnvironment({ project }, join(folder, 'none'))).toEqual({});
});

it.each([
  ['of another project', { project: newId('project') }, {}, 'Secret TOKEN cannot be opened'],
  ['of another version', { project }, { version: 4 }, 'Secret TOKEN cannot be opened'],
  ['that is gone', { project }, { sealed: null }, 'Version 3 of secret TOKEN has been deleted'],
])('refuses a value %s and tells nothing of it', (_what, where, change, message) => {
  const secretEnv = [{ ...sealed('TOKEN', 3, 'hunter2'), ...change }];
  expect(() => secretEnvironment({ ...where, secretEnv }, file)).toThrow(message);
  expect(() => secretEnvironment({ ...where, secretEnv }, file)).not.toThrow('hunter2');
});

it('says that the key is missing', () => {
  const secretEnv = [sealed('TOKEN', 3, 'hunter2')];
  expect(() => secretEnvironment({ project, secretEnv }, join(folder, 'none'))).toThrow(
    /Its secrets cannot be opened: .*none/,
  );
});
