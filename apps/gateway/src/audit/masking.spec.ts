import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import { mintApiKey } from '../keys/api-key';
import { maskedJson, maskText } from './masking';

const kept = (value: unknown) => maskedJson(JSON.stringify(value));

it('blots out what is secret by its name or its form, and keeps the rest', () => {
  const { text } = mintApiKey();
  expect(
    kept({
      id: 'key_1',
      key: text,
      name: 'ci',
      version: 3,
      env: { DATABASE_URL: 'postgresql://shop:hunter2@db/shop', API_TOKEN: 'abc', PORT: '80', SIGNING_KEY: 'x' },
      note: `use ${text} or Bearer abcdefgh1234`,
      passwords: ['one', { password: 'two' }],
      secretNames: null,
      keyName: 'kept',
    }),
  ).toEqual({
    id: 'key_1',
    key: '***',
    name: 'ci',
    version: 3,
    env: { DATABASE_URL: 'postgresql://***@db/shop', API_TOKEN: '***', PORT: '80', SIGNING_KEY: '***' },
    note: 'use *** or Bearer ***',
    passwords: ['***', { password: '***' }],
    secretNames: null,
    keyName: 'kept',
  });
});

it('never lets a key through, wherever it stands', () => {
  const { text } = mintApiKey();
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.string(), (json, around) => {
      const value = { inner: JSON.parse(json) as unknown, [`field ${around}`]: `${around} ${text} ${around}` };
      expect(JSON.stringify(kept(value))).not.toContain(text);
    }),
    runs(100),
  );
});

it('keeps neither too much nor what PostgreSQL would not take', () => {
  expect(kept({ text: 'x'.repeat(20_000) })).toEqual({ omitted: expect.stringContaining('too many') });
  expect(kept({ text: 'x'.repeat(300_000) })).toEqual({ omitted: expect.stringContaining('too many') });
  expect(kept({ 'a\0': 'b\0\ud800' })).toEqual({ 'a\uFFFD': 'b\uFFFD\uFFFD' });
  expect([maskedJson(undefined), maskedJson(''), maskedJson('{'), kept(null)]).toEqual([null, null, null, null]);
  expect(maskText('apps/we\0b')).toBe('apps/we\uFFFDb');
});
