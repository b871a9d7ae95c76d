import { mintApiKey } from './api-key';
import { isUsable, judgeKey, type KeyFacts } from './key.state';

const [current, previous, other] = [mintApiKey(), mintApiKey(), mintApiKey()];
const at = (seconds: number) => new Date(seconds * 1_000);
const key = (facts: Partial<KeyFacts> = {}): KeyFacts => ({
  hash: current.hash,
  previousHash: null,
  previousValidUntil: null,
  expiresAt: null,
  revokedAt: null,
  ...facts,
});

it('knows a key by its secret alone', () => {
  expect(judgeKey(key(), current.hash, at(0))).toBe('valid');
  expect(judgeKey(key(), other.hash, at(0))).toBe('unknown');
  expect(judgeKey(key(), '', at(0))).toBe('unknown');
});

it('takes the secret before the rotation until its time is over, and no longer', () => {
  const rotated = key({ previousHash: previous.hash, previousValidUntil: at(10) });
  expect(judgeKey(rotated, previous.hash, at(9.999))).toBe('valid');
  expect(judgeKey(rotated, previous.hash, at(10))).toBe('replaced');
  expect(judgeKey(rotated, current.hash, at(10))).toBe('valid');
  expect(judgeKey(rotated, other.hash, at(0))).toBe('unknown');
});

it('ends all secrets of a key together when it expires or is revoked', () => {
  const facts = { previousHash: previous.hash, previousValidUntil: at(100) };
  for (const { hash } of [current, previous]) {
    expect(judgeKey(key({ ...facts, expiresAt: at(5) }), hash, at(4.999))).toBe('valid');
    expect(judgeKey(key({ ...facts, expiresAt: at(5) }), hash, at(5))).toBe('expired');
    expect(judgeKey(key({ ...facts, revokedAt: at(1) }), hash, at(2))).toBe('revoked');
  }
  expect(judgeKey(key({ revokedAt: at(1) }), other.hash, at(2))).toBe('unknown');
  expect([isUsable(key(), at(9)), isUsable(key({ expiresAt: at(9) }), at(9))]).toEqual([true, false]);
});
