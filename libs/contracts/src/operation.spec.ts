import { z } from 'zod';
import { allEvents, allOperations } from './catalogue';
import { newId, idOf } from './ids';
import { isChange, type Operation, operation, pathParameters, takesDryRun } from './operation';
import { roleGrants, roles } from './permissions';

const declaration = {
  service: 'search',
  noun: 'lamps',
  verb: 'get',
  version: 2,
  summary: 'Show a lamp',
  http: { method: 'GET', path: '/v1/projects/{project}/lamps/{lamp}' },
  permission: 'indexes.read',
  callers: ['gateway'],
  input: z.object({ project: z.string(), lamp: z.string() }),
  output: z.object({}),
  errors: [],
  idempotent: true,
} as const;

describe('operation()', () => {
  it('derives name and subject', () => {
    expect(operation(declaration)).toMatchObject({ name: 'search.lamps.get', subject: 'alto.rpc.search.v2.lamps.get' });
  });

  it.each([
    ['a path parameter that is no input', { input: z.object({ project: z.string() }) }, "input has no field 'lamp'"],
    ['a route that the gateway does not call', { callers: ['compute'] as const }, 'exactly when the gateway calls it'],
    ['a public internal operation', { permission: 'internal' as const }, "'internal' is for operations without"],
    ['nobody who calls it', { callers: [] }, 'at least one caller'],
  ])('refuses %s', (_name, change, message) => {
    expect(() => operation({ ...declaration, ...change })).toThrow(message);
  });
});

describe('the catalogue', () => {
  it('names each operation, route and event once', () => {
    const routes = allOperations.flatMap(({ http }) =>
      http ? [`${http.method} ${http.path.replaceAll(/\{\w+\}/g, '{}')}`] : [],
    );
    const names = [...allOperations.map(({ subject }) => subject), ...allEvents.map(({ type }) => type)];
    expect(new Set(routes).size).toBe(routes.length);
    expect(new Set(names).size).toBe(names.length);
  });

  it('refuses fields that an operation does not know', () => {
    const loose = allOperations.filter(
      ({ input, http }) =>
        http &&
        !JSON.stringify(z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' })).includes(
          '"additionalProperties":false',
        ),
    );
    expect(loose.map(({ name }) => name)).toEqual([]);
  });

  it('gives every permission to the operator and none to an unknown', () => {
    for (const { permission } of allOperations) {
      expect(roleGrants('operator', permission)).toBe(permission !== 'internal');
    }
    expect(roles).toContain('viewer');
  });
});

/** Each with the reason, which docs/api.md gives as well. */
const withoutTrial = { 'gateway.keys.createNats': 'what a trial would show lets its reader in' };
const withoutVersion = {
  'gateway.identity.get': 'tells of the key that asks',
  'compute.usage.get': 'is counted when it is asked for',
  'storage.usage.get': 'is counted when it is asked for',
  'notifications.usage.get': 'is counted when it is asked for',
  'compute.rollouts.get': 'is changed by Alto alone, on and on',
};

describe('the terms of the catalogue', () => {
  const names = (operations: readonly Operation[]) => operations.map(({ name }) => name).sort();
  const fieldsOf = ({ output }: Operation) =>
    (z.toJSONSchema(output, { unrepresentable: 'any' }).properties ?? {}) as Record<string, { type?: string }>;
  const changes = allOperations.filter(isChange);

  it('let every change be tried', () => {
    expect(names(changes.filter((change) => !takesDryRun(change)))).toEqual(Object.keys(withoutTrial).sort());
  });

  it('let every change of what is there be made under a condition', () => {
    const makesNew = ({ http }: Operation) => http?.method === 'POST' && http.status === 201;
    expect(names(changes.filter((change) => change.precondition === undefined && !makesNew(change)))).toEqual([]);
    expect(changes.filter(makesNew).length).toBeGreaterThan(3);
  });

  it('let every resource show the version that a condition names', () => {
    const reads = allOperations.filter(({ http }) => http?.method === 'GET' && (http.kind ?? 'json') === 'json');
    const single = reads.filter((read) => !Object.hasOwn(fieldsOf(read), 'items') && isOfOne(read));
    const silent = single.filter((read) => fieldsOf(read)['version']?.type !== 'integer');
    expect(names(silent)).toEqual(Object.keys(withoutVersion).sort());
    expect(single.length).toBeGreaterThan(silent.length);
  });

  /** Lists have a page of their own; logs and hits are found anew for each question. */
  function isOfOne({ verb }: Operation): boolean {
    return !['list', 'read'].includes(verb);
  }
});

describe('ids', () => {
  it('sort by time and match their own schema only', () => {
    const [early, late] = [newId('app', 1_000), newId('app', 2_000)];
    expect(early < late).toBe(true);
    expect(idOf('app').safeParse(early).success).toBe(true);
    expect(idOf('instance').safeParse(early).success).toBe(false);
  });
});

it('finds path parameters in order', () => {
  expect(pathParameters('/v1/projects/{project}/apps/{app}')).toEqual(['project', 'app']);
});
