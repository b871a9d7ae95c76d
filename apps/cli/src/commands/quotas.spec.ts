import { parseChange } from './quotas';

it('reads limits as people write them', () => {
  expect(parseChange('apps=10')).toEqual(['apps', 10]);
  expect(parseChange('storageBytes=20GiB')).toEqual(['storageBytes', 20 * 2 ** 30]);
  expect(parseChange('messages=none')).toEqual(['messages', undefined]);
  for (const text of ['apps', 'apps=', 'apps=-1', 'apps=1.5', 'apples=1', 'apps=2GiB', 'apps=NONE', '=1'])
    expect(() => parseChange(text)).toThrow('<quota>=<number>');
});
