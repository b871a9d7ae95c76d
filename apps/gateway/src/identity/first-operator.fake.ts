/** The files that a first start makes for the gateway: the key that signs caller tokens, and an operator key's hash. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintApiKey } from '../keys/api-key';

export interface FirstOperator {
  /** The operator's API key. */
  key: string;
  /** What a gateway must be started with. */
  settings: Record<string, string>;
  callerPublicKeys: string;
  remove(): void;
}

export function makeFirstOperator(): FirstOperator {
  const folder = mkdtempSync(join(tmpdir(), 'alto-gateway-keys-'));
  const signing = generateKeyPairSync('ed25519');
  const minted = mintApiKey();
  const [signingFile, hashFile] = [join(folder, 'caller.key'), join(folder, 'admin.hash')];
  writeFileSync(signingFile, signing.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(hashFile, `${minted.id.slice('key_'.length)} ${minted.hash}\n`, { mode: 0o600 });
  const callerPublicKeys = signing.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return {
    key: minted.text,
    callerPublicKeys,
    settings: {
      ALTO_CALLER_SIGNING_KEY_FILE: signingFile,
      ALTO_CALLER_PUBLIC_KEYS: callerPublicKeys,
      ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: hashFile,
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
