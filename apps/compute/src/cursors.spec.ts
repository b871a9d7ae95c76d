import { decodeCursor, encodeCursor, pageOfRows } from './cursors';

it('gives a page and the place where it ended', () => {
  const page = pageOfRows(
    [1, 2, 3],
    2,
    (row) => row * 10,
    (row) => row,
  );
  expect(page.items).toEqual([10, 20]);
  expect(decodeCursor(page.nextCursor, 'number')).toBe(2);
  expect(
    pageOfRows(
      [1, 2],
      2,
      (row) => row,
      (row) => row,
    ),
  ).toEqual({ items: [1, 2] });
});

it.each(['', 'nonsense', encodeCursor('text'), encodeCursor(7).slice(1)])(
  'refuses %p as a cursor of numbers',
  (cursor) => {
    expect(() => decodeCursor(cursor, 'number')).toThrow(
      expect.objectContaining({ code: 'invalid_request', field: 'cursor' }),
    );
  },
);
