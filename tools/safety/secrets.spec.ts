import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FoundSecret, secretForms, secretsIn, secretsInRepository } from './secrets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Examples that are meant to look like secrets, and are none. */
const examples: readonly Pick<FoundSecret, 'path' | 'form'>[] = [
  { path: 'apps/gateway/src/audit/masking.spec.ts', form: 'password in a URL' },
];

const isExample = ({ path, form }: FoundSecret) => examples.some((one) => one.path === path && one.form === form);

const hex = (bytes: number) => randomBytes(bytes).toString('hex');
const letters = (count: number) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.repeat(4).slice(0, count);
const base64url = (text: string) => Buffer.from(text).toString('base64url');

/** Made here, since none may stand here. */
const planted: Record<string, string> = {
  'private key': generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  'API key of Alto': `alto_${letters(26).toLowerCase()}_${hex(32)}`,
  'token for joining an Alto': `alto-node-1.${base64url(hex(40))}`,
  'seed of an nkey': `SU${letters(56)}`,
  'signed token': [base64url('{"alg":"EdDSA"}'), base64url('{"sub":"somebody"}'), base64url(hex(32))].join('.'),
  'AWS access key': `AKIA${letters(16)}`,
  'AWS secret key': `aws_secret_access_key = ${hex(20)}`,
  'GitHub token': `ghp_${hex(18)}`,
  'npm token': `npm_${hex(18)}`,
  'Slack token': `xoxb-${hex(12)}`,
  'Google API key': `AIza${hex(20).slice(0, 35)}`,
  'Stripe key': ['sk', 'live', hex(12)].join('_'),
  'password in a URL': `postgresql://somebody:${hex(8)}@db/shop`,
  'secret given to a name': `clientSecret: '${hex(20)}'`,
};

it('the repository holds no secret', () => {
  expect(secretsInRepository(root).filter((found) => !isExample(found))).toEqual([]);
});

it('each example that is excepted is still there', () => {
  const found = secretsInRepository(root);
  expect(examples.filter((one) => !found.some(({ path, form }) => path === one.path && form === one.form))).toEqual([]);
});

it.each(secretForms.map(({ name }) => name))('a planted secret is found: %s', (name) => {
  const text = `first line\nconst planted = ${planted[name] ?? ''};\n`;
  expect(secretsIn('planted.ts', text)).toContainEqual({ path: 'planted.ts', line: 2, form: name });
  expect(JSON.stringify(secretsIn('planted.ts', text))).not.toContain(planted[name]);
});

it('a secret in a file of a repository is found, committed or not, text or not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'alto-secrets-'));
  try {
    execFileSync('git', ['init', '--quiet'], { cwd: folder });
    writeFileSync(join(folder, 'settings.txt'), planted['API key of Alto'] ?? '');
    writeFileSync(join(folder, 'image.bin'), Buffer.from(`\0\xff${planted['seed of an nkey']}\0`, 'latin1'));
    execFileSync('git', ['add', 'image.bin'], { cwd: folder });
    const found = secretsInRepository(folder).map(({ path }) => path);
    expect(found.sort()).toEqual(['image.bin', 'settings.txt']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('what only resembles a secret is left alone', () => {
  const text = "postgresql://user:password@host/db `postgresql://a:${password}@b` sha512-abc= token: 'short'";
  expect(secretsIn('README.md', text)).toEqual([]);
});
