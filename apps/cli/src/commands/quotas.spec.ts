import { inBytes, parseChange } from './quotas';

it('reads limits as people write them', () => {
  expect(parseChange('apps=10')).toEqual(['apps', 10]);
  expect(parseChange('storageBytes=20GiB')).toEqual(['storageBytes', 20 * 2 ** 30]);
  expect(parseChange('messages=none')).toEqual(['messages', undefined]);
  for (const text of ['apps', 'apps=', 'apps=-1', 'apps=1.5', 'apples=1', 'apps=2GiB', 'apps=NONE', '=1'])
    expect(() => parseChange(text)).toThrow('<quota>=<number>');
});

it('shows bytes as people read them', () => {
  expect([0, 768, 201_326_592, 1.5 * 2 ** 30, 2 ** 40].map(inBytes)).toEqual([
    '0 B',
    '768 B',
    '192 MiB',
    '1.5 GiB',
    '1 TiB',
  ]);
});
