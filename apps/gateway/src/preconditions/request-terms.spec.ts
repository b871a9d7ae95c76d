import type { LearnedOperation } from '../routing/learned-operation';
import { requestTerms } from './request-terms';

const lamps = (more: Partial<LearnedOperation> & { method?: 'GET' | 'PUT' | 'POST' | 'DELETE' } = {}) =>
  ({
    service: 'search',
    name: 'search.lamps.put',
    subject: 'alto.rpc.search.v1.lamps.put',
    version: 1,
    summary: 'Set a lamp',
    http: { method: more.method ?? 'PUT', path: '/v1/lamps/{lamp}' },
    permission: 'indexes.write',
    input: { properties: { lamp: {}, on: {} } },
    output: {},
    errors: [],
    idempotent: true,
    precondition: 'optional',
    dryRun: true,
    ...more,
  }) as LearnedOperation;

const read = (headers: Record<string, string>, query = '', operation = lamps()) =>
  requestTerms(operation, headers, new URLSearchParams(query));
const refusal = (...parameters: Parameters<typeof read>): unknown => {
  try {
    return read(...parameters);
  } catch (error) {
    return error;
  }
};

it.each([
  ['"3"', [3]],
  ['3', [3]],
  ['"3", "4"', [3, 4]],
  ['*', '*'],
  ['"of another server"', [999_999_999_999_999]],
])('reads If-Match: %s', (header, ifMatch) => {
  expect(read({ 'if-match': header }).terms.ifMatch).toEqual(ifMatch);
});

it.each(['', 'W/"3"', '"3', '"3",', 'three', Array(21).fill('"1"').join()])('refuses If-Match: %s', (header) => {
  expect(refusal({ 'if-match': header })).toMatchObject({ code: 'invalid_request', field: 'If-Match' });
});

it('takes If-None-Match: * on a PUT, and no other', () => {
  expect(read({ 'if-none-match': '*' }).terms.ifNoneMatch).toBe('*');
  expect(refusal({ 'if-none-match': '"3"' })).toMatchObject({ field: 'If-None-Match' });
  expect(refusal({ 'if-none-match': '*' }, '', lamps({ method: 'DELETE' }))).toMatchObject({ field: 'If-None-Match' });
});

it('does not let a condition or a trial pass that the service would not look at', () => {
  const old = lamps({ precondition: undefined, dryRun: undefined });
  expect(refusal({ 'if-match': '"3"' }, '', old)).toMatchObject({ code: 'invalid_request', field: 'If-Match' });
  expect(refusal({}, 'dryRun=true', old)).toMatchObject({ code: 'invalid_request', field: 'dryRun' });
});

it('asks for a condition where one is required', () => {
  const strict = lamps({ precondition: 'required' });
  expect(refusal({}, '', strict)).toMatchObject({ code: 'precondition_required', field: 'If-Match' });
  expect(read({ 'if-none-match': '*' }, '', strict).terms.ifNoneMatch).toBe('*');
});

it('takes dryRun out of the query, unless the operation knows it itself', () => {
  const { terms, query } = read({}, 'dryRun=true&colour=red');
  expect(terms.dryRun).toBe(true);
  expect(query.toString()).toBe('colour=red');
  const planning = lamps({ input: { properties: { dryRun: {} } } });
  expect(read({}, 'dryRun=true', planning).query.toString()).toBe('dryRun=true');
  for (const wrong of ['dryRun=yes', 'dryRun', 'dryRun=true&dryRun=true']) {
    expect(refusal({}, wrong)).toMatchObject({ field: 'dryRun' });
  }
});

it('reads the Idempotency-Key of a POST that is no trial', () => {
  const post = lamps({ method: 'POST' });
  const key = { 'idempotency-key': 'one' };
  expect(read(key, '', post).idempotencyKey).toBe('one');
  expect(read(key, 'dryRun=true', post).idempotencyKey).toBeUndefined();
  expect(read(key).idempotencyKey).toBeUndefined();
  for (const wrong of ['', 'a b', 'ä', 'x'.repeat(256)]) {
    expect(refusal({ 'idempotency-key': wrong }, '', post)).toMatchObject({ field: 'Idempotency-Key' });
  }
  const upload = lamps({ http: { method: 'POST', path: '/v1/lamps/{lamp}', kind: 'upload' } });
  expect(read(key, '', upload).idempotencyKey).toBe('one');
});

it('leaves reads alone', () => {
  const get = lamps({ method: 'GET' });
  expect(read({ 'if-match': 'x', 'idempotency-key': '' }, 'dryRun=true', get)).toMatchObject({ terms: {} });
});
