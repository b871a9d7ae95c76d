/**
 * Caller tokens: compact EdDSA JWTs, made by the gateway, that say which API key a request is made with. They live
 * for a minute at most, so that a revoked key is worth nothing soon after. Making and checking a signature costs more
 * than the rest of a request, so both are remembered by caller and by token.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { AltoError, type Caller, callerSchema } from '@alto/contracts';
import { LRUCache } from 'lru-cache';

const lifetimeSeconds = 60;
/** A token is made anew when less than this is left, so that it outlives the request it is sent with. */
const renewWhenLeftSeconds = 20;
/** How far the clocks of two machines may differ. */
const skewSeconds = 10;
const rememberedMax = 10_000;

interface Claims extends Omit<Caller, 'id'> {
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
}

type Clock = () => number;
const systemClock: Clock = () => Date.now();

/** Held by the gateway alone. */
export class CallerTokenSigner {
  private readonly key: KeyObject;
  private readonly header: string;
  private readonly remembered = new LRUCache<string, { token: string; exp: number }>({ max: rememberedMax });

  /** @param privateKey Ed25519 in PEM (PKCS 8), or its DER form in base64. */
  constructor(
    privateKey: string,
    private readonly now: Clock = systemClock,
  ) {
    this.key = privateKey.includes('-----BEGIN')
      ? createPrivateKey(privateKey)
      : createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' });
    this.header = encodePart({ alg: 'EdDSA', typ: 'JWT', kid: keyId(createPublicKey(this.key)) });
  }

  sign(caller: Caller): string {
    const nowSeconds = Math.floor(this.now() / 1000);
    const { id: sub, ...rest } = caller;
    const principal = JSON.stringify(caller);
    const known = this.remembered.get(principal);
    if (known !== undefined && known.exp - nowSeconds >= renewWhenLeftSeconds) return known.token;
    const exp = nowSeconds + lifetimeSeconds;
    const claims: Claims = { sub, ...rest, iat: nowSeconds, exp };
    const signed = `${this.header}.${encodePart(claims)}`;
    const token = `${signed}.${sign(null, Buffer.from(signed), this.key).toString('base64url')}`;
    this.remembered.set(principal, { token, exp });
    return token;
  }
}

/** Every service checks with the gateway's public keys: several during a change of keys. */
export class CallerTokenVerifier {
  private readonly keys = new Map<string, KeyObject>();
  private readonly remembered = new LRUCache<string, { caller: Caller; exp: number }>({ max: rememberedMax });

  /** @param publicKeys see {@link parsePublicKeys}. */
  constructor(
    publicKeys: string,
    private readonly now: Clock = systemClock,
  ) {
    for (const key of parsePublicKeys(publicKeys)) this.keys.set(keyId(key), key);
  }

  /** @throws AltoError `unauthenticated` for a token that is missing, forged, malformed or out of date. */
  verify(token: string | undefined): Caller {
    if (token === undefined) throw unauthenticated('This operation needs the token of a caller.');
    const nowSeconds = this.now() / 1000;
    const known = this.remembered.get(token);
    if (known !== undefined && known.exp + skewSeconds > nowSeconds) return known.caller;
    const claims = this.readClaims(token);
    if (claims.exp + skewSeconds <= nowSeconds) throw unauthenticated("The caller's token has expired.");
    if (claims.exp - claims.iat > lifetimeSeconds || claims.iat - skewSeconds > nowSeconds) {
      throw unauthenticated("The caller's token is not of this time.");
    }
    const caller = callerSchema.safeParse({ ...claims, id: claims.sub });
    if (!caller.success) throw unauthenticated("The caller's token lacks a claim.");
    this.remembered.set(token, { caller: caller.data, exp: claims.exp });
    return caller.data;
  }

  private readClaims(token: string): Claims {
    const [header, payload, signature, more] = token.split('.');
    if (header === undefined || payload === undefined || signature === undefined || more !== undefined) {
      throw unauthenticated("The caller's token is malformed.");
    }
    const { alg, kid } = decodePart(header);
    const key = alg === 'EdDSA' && typeof kid === 'string' ? this.keys.get(kid) : undefined;
    if (key === undefined) throw unauthenticated("The caller's token is signed with a key that is not known here.");
    if (!verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) {
      throw unauthenticated("The caller's token has a wrong signature.");
    }
    const claims = decodePart(payload);
    if (typeof claims['exp'] !== 'number' || typeof claims['iat'] !== 'number') {
      throw unauthenticated("The caller's token lacks a claim.");
    }
    return claims as unknown as Claims;
  }
}

/**
 * Ed25519 public keys, separated by commas: base64 of the SPKI DER form; PEM works as well.
 * @throws Error that names the setting, when one cannot be read.
 */
export function parsePublicKeys(text: string): KeyObject[] {
  const pem = text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g);
  const parts = pem ?? text.split(/[\s,]+/).filter((part) => part !== '');
  return parts.map((part, index) => {
    try {
      const key = pem
        ? createPublicKey(part)
        : createPublicKey({ key: Buffer.from(part, 'base64'), format: 'der', type: 'spki' });
      if (key.asymmetricKeyType === 'ed25519') return key;
    } catch {
      // Said below, in words that name the setting.
    }
    throw new Error(
      `ALTO_CALLER_PUBLIC_KEYS: key ${index + 1} is not an Ed25519 public key (base64 of its SPKI DER form)`,
    );
  });
}

function keyId(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('base64url')
    .slice(0, 16);
}

function encodePart(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decodePart(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw unauthenticated("The caller's token is malformed.");
}

function unauthenticated(message: string): AltoError {
  return new AltoError('unauthenticated', message);
}
