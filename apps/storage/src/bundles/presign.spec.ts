import { isSigned, presign, type SigningKey } from './presign';

const key: SigningKey = { id: 'k1', secret: Buffer.alloc(32, 1) };
const blob = 'blob_01k3aaaaaaaaaaaaaaaaaaaaaa';

function read(address: string) {
  const url = new URL(address, 'http://storage');
  return {
    blob: url.pathname.split('/')[3]!,
    expiresAtMs: Number(url.searchParams.get('expires')),
    key: url.searchParams.get('key')!,
    signature: url.searchParams.get('signature')!,
  };
}

describe('presign', () => {
  const address = read(presign(key, blob, 1_000));

  it('is accepted as it was made', () => {
    expect(address).toMatchObject({ blob, expiresAtMs: 1_000, key: 'k1' });
    expect(isSigned(address, key)).toBe(true);
  });

  it.each([
    ['another blob', { blob: blob.replace('k3', 'k4') }],
    ['a later expiry', { expiresAtMs: 2_000 }],
    ['a shorter signature', { signature: address.signature.slice(1) }],
    ['an empty signature', { signature: '' }],
    ['another signature', { signature: address.signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) }],
  ])('is refused with %s', (_, change) => {
    expect(isSigned({ ...address, ...change }, key)).toBe(false);
  });

  it('is refused by another key', () => {
    expect(isSigned(address, { ...key, secret: Buffer.alloc(32, 2) })).toBe(false);
    expect(isSigned(address, { ...key, id: 'k2' })).toBe(false);
  });
});
