import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfiguration, writeConfiguration } from './configuration';

const folder = mkdtempSync(join(tmpdir(), 'alto-configuration-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('is read as it was written', () => {
  const path = join(folder, 'alto', 'config.json');
  writeConfiguration(path, { url: 'http://alto.test' });
  expect(readConfiguration(path)).toEqual({ url: 'http://alto.test' });
});

it('says what to do where it cannot be written', () => {
  writeFileSync(join(folder, 'file'), '');
  const write = () => writeConfiguration(join(folder, 'file', 'config.json'), {});
  expect(write).toThrow(/config\.json cannot be written: /);
  expect(write).toThrow(expect.objectContaining({ nextStep: expect.stringContaining('XDG_CONFIG_HOME') }));
});
