import { searchable, wordsOf } from './document-words';

describe('wordsOf', () => {
  it('takes texts and numbers in order, at any depth', () => {
    expect(wordsOf({ title: 'One', tags: ['two', { deep: 'three' }], year: 2026, draft: true, none: null })).toBe(
      'One\ntwo\nthree\n2026',
    );
  });

  it('is not stopped by depth', () => {
    let value: unknown = 'bottom';
    for (let depth = 0; depth < 50_000; depth++) value = [value];
    expect(wordsOf({ value })).toBe('bottom');
  });

  it('unifies forms and drops what PostgreSQL cannot hold', () => {
    expect(searchable('ﬁne Ｃａｆｅ\u0301\0!')).toBe('fine Café !');
  });
});
