import { claimedKeyId, hashesMatch, hashOf, mintApiKey, parseHashLine } from './api-key';

describe('API keys', () => {
  it('carry the id of their row and keep nothing but a hash', () => {
    const key = mintApiKey();
    expect(key.text).toMatch(/^alto_[0-9a-z]{26}_[0-9a-f]{64}$/);
    expect(claimedKeyId(key.text)).toBe(key.id);
    expect(key.hash).toBe(hashOf(key.text));
    expect(mintApiKey().text).not.toBe(key.text);
  });

  it('are told from anything else', () => {
    const { text } = mintApiKey();
    for (const wrong of ['', 'alto_', text.slice(0, -1), `${text}0`, ` ${text}`, text.toUpperCase(), `${text}\n`]) {
      expect(claimedKeyId(wrong)).toBeUndefined();
    }
  });

  it('match their own hash only', () => {
    const [one, two] = [mintApiKey(), mintApiKey()];
    expect(hashesMatch(one.hash, hashOf(one.text))).toBe(true);
    expect(hashesMatch(one.hash, two.hash)).toBe(false);
    expect(hashesMatch('', '')).toBe(false);
  });

  it('are handed over at first start as one line of id and hash', () => {
    const key = mintApiKey();
    expect(parseHashLine(`${key.id.slice(4)} ${key.hash}\n`)).toEqual({ id: key.id, hash: key.hash });
    expect(parseHashLine(key.text)).toBeUndefined();
  });
});
