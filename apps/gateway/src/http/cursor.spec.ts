import { decodeCursor, encodeCursor, pageFrom } from './cursor';

describe('cursors', () => {
  it('say where the next page begins, to the list that gave them alone', () => {
    const cursor = encodeCursor('keys:prj_1', 'key_7');
    expect(decodeCursor('keys:prj_1', cursor)).toBe('key_7');
    expect(decodeCursor('keys:prj_1', undefined)).toBeUndefined();
    for (const wrong of [
      encodeCursor('keys:prj_2', 'key_7'),
      encodeCursor('keys:prj_1', '\0'),
      'x',
      '',
      cursor.slice(1),
      'W10',
    ]) {
      expect(() => decodeCursor('keys:prj_1', wrong)).toThrow(
        expect.objectContaining({ code: 'invalid_request', field: 'cursor' }),
      );
    }
  });

  it('are left out of the last page', () => {
    const page = (count: number) =>
      pageFrom(
        'l',
        Array.from({ length: count }, (_, index) => `${index}`),
        2,
        (row) => row,
        Number,
      );
    expect(page(2)).toEqual({ items: [0, 1] });
    expect(page(3)).toEqual({ items: [0, 1], nextCursor: encodeCursor('l', '1') });
    expect(page(0)).toEqual({ items: [] });
  });
});
