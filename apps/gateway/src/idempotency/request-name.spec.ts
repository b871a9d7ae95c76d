import { onceKeyOf, requestHashOf } from './request-name';

it('names the requests of each caller apart, and the same on every gateway', () => {
  const name = onceKeyOf('secret', { caller: 'key_a', idempotencyKey: '1' });
  expect(name).toMatch(/^[0-9a-f]{64}$/);
  expect(onceKeyOf('secret', { caller: 'key_a', idempotencyKey: '1' })).toBe(name);
  expect(onceKeyOf('secret', { caller: 'key_b', idempotencyKey: '1' })).not.toBe(name);
  expect(onceKeyOf('secret', { caller: 'key_a', idempotencyKey: '2' })).not.toBe(name);
  expect(onceKeyOf('another', { caller: 'key_a', idempotencyKey: '1' })).not.toBe(name);
});

it('tells requests apart by operation, content and condition, not by the order of fields', () => {
  const hash = requestHashOf('search.lamps.put', { a: 1, b: { c: [1, 2], d: null } }, undefined);
  expect(requestHashOf('search.lamps.put', { b: { d: null, c: [1, 2] }, a: 1 }, undefined)).toBe(hash);
  const others = [
    requestHashOf('search.lamps.get', { a: 1, b: { c: [1, 2], d: null } }, undefined),
    requestHashOf('search.lamps.put', { a: 1, b: { c: [2, 1], d: null } }, undefined),
    requestHashOf('search.lamps.put', { a: 1, b: { c: [1, 2] } }, undefined),
    requestHashOf('search.lamps.put', { a: 1, b: { c: [1, 2], d: null } }, [3]),
    requestHashOf('search.lamps.put', { a: '1', b: { c: [1, 2], d: null } }, undefined),
  ];
  expect(new Set([hash, ...others]).size).toBe(6);
});
