import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { MasterKeys, MasterKeysError } from './master-keys';
import { openSecret, sealSecret } from './project-secret';
import { keyIdOf, open, seal, sealedValueBytesMax, SealingError } from './sealing';

const [first, second] = ['first', 'second'].map((seed) => createHash('sha256').update(seed).digest('base64'));
const keys = MasterKeys.parse(first!, 'the test');
const place = { project: 'prj_a', name: 'TOKEN', version: 3 };
const reasonOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    if (error instanceof SealingError) return error.reason;
    throw error;
  }
  return 'opened';
};

describe('sealing', () => {
  it.each(['', 'short', 'größer ∑ 🙂', 'x'.repeat(100_000)])('gives back what was sealed', (value) => {
    expect(open(keys, seal(keys, value, ['here']), ['here'])).toBe(value);
  });

  it('shows nothing of the value and never seals to the same text', () => {
    const sealed = [1, 2, 3].map(() => sealSecret(keys, 'hunter2-hunter2', place));
    expect(new Set(sealed).size).toBe(3);
    for (const text of sealed) {
      expect(text).not.toContain('hunter2');
      const parts = text.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'));
      expect(parts.join()).not.toContain('hunter2');
    }
  });

  it('opens at no other place: project, name and version are part of the seal', () => {
    const sealed = sealSecret(keys, 'value', place);
    expect(openSecret(keys, sealed, place)).toBe('value');
    for (const other of [{ project: 'prj_b' }, { name: 'TOKEN2' }, { version: 4 }]) {
      expect(reasonOf(() => openSecret(keys, sealed, { ...place, ...other }))).toBe('refused');
    }
    expect(reasonOf(() => open(keys, seal(keys, 'value', ['a', 'b']), ['a","b']))).toBe('refused');
  });

  it('does not open once any character of it has been changed, cut or exchanged', () => {
    const sealed = seal(keys, 'value', ['here']);
    for (let at = 0; at < sealed.length; at++) {
      const old = sealed[at]!;
      const changed = sealed.slice(0, at) + (old === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
      const decodesAlike = Buffer.from(changed.split('.').at(-1) ?? '', 'base64url').equals(
        Buffer.from(sealed.split('.').at(-1) ?? '', 'base64url'),
      );
      if (at === sealed.length - 1 && decodesAlike) continue; // the last character holds bits that mean nothing
      expect({ at, reason: reasonOf(() => open(keys, changed, ['here'])) }).not.toEqual({ at, reason: 'opened' });
      expect(reasonOf(() => open(keys, sealed.slice(0, at), ['here']))).not.toBe('opened');
    }
    const other = seal(keys, 'other', ['here']).split('.');
    const mixed = [...sealed.split('.').slice(0, 3), other[3]].join('.');
    expect(reasonOf(() => open(keys, mixed, ['here']))).toBe('refused');
  });

  it.each(['', '.', 'alto1', 'alto2.a.b.c', 'alto1.a.b.c.d', 'value', 'alto1.a.b.c'.padEnd(3_000_000, 'x')])(
    'reads nothing that it has not made',
    (text) => expect(['unreadable', 'unknown_key']).toContain(reasonOf(() => open(keys, text, ['here']))),
  );

  it('seals no more than its bound', () => {
    const largest = 'x'.repeat(sealedValueBytesMax);
    expect(open(keys, seal(keys, largest, []), [])).toBe(largest);
    expect(reasonOf(() => seal(keys, `${largest}x`, []))).toBe('too_large');
  });
});

describe('master keys', () => {
  it('are rotated by appending one: the newest seals, all open, until the old one is removed', () => {
    const before = seal(keys, 'value', ['here']);
    const both = MasterKeys.parse(`${first}\n${second}\n`, 'the test');
    const after = seal(both, 'value', ['here']);
    expect(keyIdOf(before)).toBe(keys.newest);
    expect(keyIdOf(after)).toBe(both.newest);
    expect(both.newest).not.toBe(keys.newest);
    expect([open(both, before, ['here']), open(both, after, ['here'])]).toEqual(['value', 'value']);
    const alone = MasterKeys.parse(second!, 'the test');
    expect(open(alone, after, ['here'])).toBe('value');
    expect(reasonOf(() => open(alone, before, ['here']))).toBe('unknown_key');
  });

  it('are read with commas as well, and a key that is listed again counts where it is listed last', () => {
    expect(MasterKeys.parse(`${first},${second}`, 'the test').newest).not.toBe(keys.newest);
    expect(MasterKeys.parse(`${first} ${second} ${first}`, 'the test').newest).toBe(keys.newest);
  });

  it.each([
    ['nothing', '\n', 'holds no master key'],
    ['what is not base64', 'not a key!', 'Master key 1 of the test is not 32 bytes'],
    ['a key that is too short', `${first},${Buffer.alloc(16).toString('base64')}`, 'Master key 2'],
    ['too many', Array.from({ length: 17 }, () => first).join('\n'), '16 are the most'],
  ])('refuse %s without quoting it', (_what, text, message) => {
    const parse = () => MasterKeys.parse(text, 'the test');
    expect(parse).toThrow(MasterKeysError);
    expect(parse).toThrow(message);
    expect(parse).not.toThrow(text.trim() === '' ? 'quoted' : text.trim());
  });

  it('do not show themselves', () => {
    const shown = [JSON.stringify({ keys }), inspect(keys, { depth: 10, showHidden: true }), String(keys)].join();
    for (const form of [first!, Buffer.from(first!, 'base64').toString('hex'), '<Buffer', 'Uint8Array']) {
      expect(shown).not.toContain(form);
    }
  });
});
