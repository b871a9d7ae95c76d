import { learnedOperationSchema } from './learned-operation';

const announced = {
  service: 'search',
  name: 'search.things.get',
  subject: 'alto.rpc.search.v1.things.get',
  version: 1,
  summary: 'Get a thing',
  http: { method: 'GET', path: '/v1/things/{thing}' },
  permission: 'indexes.read',
  input: {},
  output: {},
  errors: [],
  idempotent: true,
};

const isAccepted = (changes: object) => learnedOperationSchema.safeParse({ ...announced, ...changes }).success;

describe('an announced operation', () => {
  it('is accepted with what a newer version may have added', () => {
    expect(isAccepted({})).toBe(true);
    expect(isAccepted({ callers: ['gateway'], somethingNew: 1, permission: 'things.read' })).toBe(true);
  });

  it('is refused outside the namespace of its service', () => {
    expect(isAccepted({ name: 'compute.things.get' })).toBe(false);
    expect(isAccepted({ subject: 'alto.rpc.compute.v1.things.get' })).toBe(false);
    expect(isAccepted({ subject: '>' })).toBe(false);
    expect(isAccepted({ subject: 'alto.rpc.search.>' })).toBe(false);
    expect(isAccepted({ service: 'billing', name: 'billing.things.get' })).toBe(false);
  });

  it('is refused when it would stream events, of which the gateway alone knows whose they are', () => {
    expect(isAccepted({ http: { ...announced.http, kind: 'events' } })).toBe(false);
  });

  it('is refused when the router cannot serve its path', () => {
    for (const path of ['/things', '/v1/{thing}.json', '/v1/things/{a b}', '/v1/things/{}']) {
      expect(isAccepted({ http: { method: 'GET', path } })).toBe(false);
    }
    expect(isAccepted({ http: { method: 'TRACE', path: '/v1/things' } })).toBe(false);
  });
});
