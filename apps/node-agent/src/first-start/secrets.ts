/** Keys and passwords that one Alto has for life, each made once and kept in a file of mode 0600. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { newId } from '@alto/contracts';
import { keptText } from './files';

export interface Secrets {
  /** File with the key that seals other secrets: 32 bytes in base64. */
  masterKeyFile: string;
  /** File with the Ed25519 key (PKCS #8, PEM) with which the gateway signs caller tokens. */
  callerKeyFile: string;
  /** Its public half as services take it: base64 of the SPKI DER form. */
  callerPublicKey: string;
  /** File with the first API key, of role operator, for people. Alto's services never read it. */
  adminKeyFile: string;
  /** File with what the gateway may know of that key: `<id> <sha256>`. */
  adminKeyHashFile: string;
}

/** Makes what is missing in `keys/`. */
export async function ensureSecrets(keysDirectory: string): Promise<Secrets> {
  const masterKeyFile = join(keysDirectory, 'master.key');
  const callerKeyFile = join(keysDirectory, 'caller.key');
  const adminKeyFile = join(keysDirectory, 'admin.key');
  const adminKeyHashFile = join(keysDirectory, 'admin.key.sha256');
  await keptText(masterKeyFile, () => `${randomBytes(32).toString('base64')}\n`);
  const callerKey = await keptText(callerKeyFile, makeCallerKey);
  const adminKey = (await keptText(adminKeyFile, () => `${makeAdminKey()}\n`)).trim();
  await keptText(adminKeyHashFile, () => `${hashLine(adminKey)}\n`);
  return { masterKeyFile, callerKeyFile, callerPublicKey: publicHalf(callerKey), adminKeyFile, adminKeyHashFile };
}

/** Random text that is safe in a URL and in SQL. */
export function makePassword(): string {
  return randomBytes(24).toString('hex');
}

function makeCallerKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function publicHalf(privateKeyPem: string): string {
  const spki = createPublicKey(createPrivateKey(privateKeyPem)).export({ type: 'spki', format: 'der' });
  return spki.toString('base64');
}

/** `alto_<id>_<secret>`, as the gateway makes them. */
function makeAdminKey(): string {
  return `alto_${newId('key').slice('key_'.length)}_${randomBytes(32).toString('hex')}`;
}

function hashLine(key: string): string {
  const id = key.split('_')[1];
  return `${id} ${createHash('sha256').update(key, 'utf8').digest('hex')}`;
}
