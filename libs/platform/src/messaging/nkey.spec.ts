import { createAccount, createUser, encodeUser } from '@nats-io/jwt';
import { isSignedBy, readUserJwt, signWithSeed } from './nkey';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('nkeys', () => {
  it("sign and check as NATS's own library does", () => {
    const user = createUser();
    const ours = signWithSeed(text(user.getSeed()), 'hello');
    expect(user.verify(Buffer.from('hello'), Buffer.from(ours, 'base64'))).toBe(true);
    const theirs = Buffer.from(user.sign(Buffer.from('hello'))).toString('base64');
    expect(isSignedBy(user.getPublicKey(), 'hello', theirs)).toBe(true);
    expect(isSignedBy(user.getPublicKey(), 'hallo', theirs)).toBe(false);
    expect(isSignedBy(createUser().getPublicKey(), 'hello', theirs)).toBe(false);
  });

  it.each(['', 'U', 'nonsense!', 'UAAA'])('that are malformed (%s) have signed nothing', (key) => {
    expect(isSignedBy(key, 'hello', 'A'.repeat(86))).toBe(false);
    expect(() => signWithSeed(key, 'hello')).toThrow('not the seed');
  });

  it('read a user JWT, and refuse one that was changed', async () => {
    const [account, user] = [createAccount(), createUser()];
    const jwt = await encodeUser('compute', user, account, {});
    expect(readUserJwt(jwt)).toEqual({ name: 'compute', sub: user.getPublicKey(), iss: account.getPublicKey() });
    const [header, payload, signature] = jwt.split('.');
    const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()) as object;
    const changed = Buffer.from(JSON.stringify({ ...claims, name: 'gateway' })).toString('base64url');
    expect(() => readUserJwt(`${header}.${changed}.${signature}`)).toThrow('wrong signature');
    expect(() => readUserJwt('a.b.c')).toThrow();
  });
});
