import { z } from 'zod';
import { allEvents, allOperations } from './catalogue';
import { newId, idOf } from './ids';
import { operation, pathParameters } from './operation';
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
