import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { AltoError, type Caller } from '@alto/contracts';
import { CallerTokenSigner, CallerTokenVerifier, parsePublicKeys } from './caller-token';

const pair = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateDer: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    publicDer: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
};

const keys = pair();
const caller: Caller = { id: 'key_1', role: 'developer', project: 'prj_1', projectName: 'shop' };

let now = Date.UTC(2026, 0, 1);
const signer = new CallerTokenSigner(keys.privatePem, () => now);
const verifier = new CallerTokenVerifier(keys.publicDer, () => now);

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string | undefined): Record<string, unknown> =>
  JSON.parse(Buffer.from(part ?? '', 'base64url').toString()) as Record<string, unknown>;

function code(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof AltoError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('caller tokens', () => {
  it('say who is calling', () => {
    expect(verifier.verify(signer.sign(caller))).toEqual(caller);
    const operator: Caller = { id: 'key_2', role: 'operator', project: null, projectName: null };
    expect(verifier.verify(signer.sign(operator))).toEqual(operator);
    const narrow: Caller = { ...caller, scopes: ['apps.*'], quotas: { apps: 3, storageBytes: 0 } };
    expect(verifier.verify(signer.sign(narrow))).toEqual(narrow);
  });

  it('are the same token for the same caller, until little of its time is left', () => {
    const first = signer.sign(caller);
    now += 39_000;
    expect(signer.sign(caller)).toBe(first);
    now += 2_000;
    expect(signer.sign(caller)).not.toBe(first);
    expect(signer.sign({ ...caller, role: 'viewer' })).not.toBe(signer.sign(caller));
    expect(signer.sign({ ...caller, quotas: { apps: 1 } })).not.toBe(signer.sign({ ...caller, quotas: { apps: 2 } }));
  });

  it('are worth nothing after their time, remembered or not', () => {
    const token = signer.sign(caller);
    verifier.verify(token);
    now += 71_000;
    expect(code(() => verifier.verify(token))).toBe('unauthenticated');
    expect(code(() => new CallerTokenVerifier(keys.publicDer, () => now).verify(token))).toBe('unauthenticated');
  });

  it('of a time to come are refused, but for a small difference of clocks', () => {
    const ahead = (ms: number) => new CallerTokenSigner(keys.privatePem, () => now + ms).sign(caller);
    expect(code(() => verifier.verify(ahead(5_000)))).toBe('accepted');
    expect(code(() => verifier.verify(ahead(60_000)))).toBe('unauthenticated');
  });

  it('that are forged or malformed are refused', () => {
    const [header, payload, signature] = signer.sign(caller).split('.');
    const raised = encode({ ...decode(payload), role: 'operator' });
    const plain = encode({ alg: 'none', typ: 'JWT' });
    const symmetric = encode({ ...decode(header), alg: 'HS256' });
    const hmac = createHmac('sha256', keys.publicPem).update(`${symmetric}.${payload}`).digest('base64url');
    const stranger = new CallerTokenSigner(pair().privatePem, () => now).sign(caller);
    const tokens = {
      missing: undefined,
      raised: `${header}.${raised}.${signature}`,
      unsigned: `${plain}.${payload}.`,
      symmetric: `${symmetric}.${payload}.${hmac}`,
      stranger,
      cut: `${header}.${payload}`,
      longer: `${header}.${payload}.${signature}.${signature}`,
      empty: '',
      dots: '..',
      binary: '\u0000.\u0000.\u0000',
      list: `${encode([])}.${encode([])}.${signature}`,
    };
    const codes = Object.entries(tokens).map(([name, token]) => [name, code(() => verifier.verify(token))]);
    expect(codes).toEqual(Object.keys(tokens).map((name) => [name, 'unauthenticated']));
  });

  it('that claim a longer life than they may have are refused, rightly signed as they are', () => {
    const [header, payload] = signer.sign(caller).split('.');
    const tokenLasting = (seconds: number) => {
      const { iat, ...claims } = decode(payload);
      const signed = `${header}.${encode({ ...claims, iat, exp: Number(iat) + seconds })}`;
      return `${signed}.${sign(null, Buffer.from(signed), keys.privatePem).toString('base64url')}`;
    };
    expect(code(() => verifier.verify(tokenLasting(60)))).toBe('accepted');
    expect(code(() => verifier.verify(tokenLasting(3_600)))).toBe('unauthenticated');
  });

  it('are believed with either key during a change of keys', () => {
    const next = pair();
    const both = new CallerTokenVerifier(`${keys.publicDer},${next.publicDer}`, () => now);
    expect(both.verify(signer.sign(caller))).toEqual(caller);
    expect(both.verify(new CallerTokenSigner(next.privateDer, () => now).sign(caller))).toEqual(caller);
  });
});

describe('ALTO_CALLER_PUBLIC_KEYS', () => {
  it('takes base64 and PEM, and none', () => {
    expect(parsePublicKeys('')).toEqual([]);
    expect(parsePublicKeys(` ${keys.publicDer} , ${pair().publicDer}`)).toHaveLength(2);
    expect(parsePublicKeys(keys.publicPem + pair().publicPem)).toHaveLength(2);
  });

  it('says which key cannot be read', () => {
    expect(() => parsePublicKeys(`${keys.publicDer},nonsense`)).toThrow('ALTO_CALLER_PUBLIC_KEYS: key 2');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const der = rsa.export({ type: 'spki', format: 'der' }).toString('base64');
    expect(() => parsePublicKeys(der)).toThrow('not an Ed25519 public key');
  });
});
