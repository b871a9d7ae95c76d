import type { ServiceName } from '@alto/contracts';
import type { LearnedOperation } from './learned-operation';
import { compareVersions, learn, type RouteTable, settleRoutes } from './route-table';

const operation = (service: ServiceName, verb: string, path: string, summary = ''): LearnedOperation => ({
  service,
  name: `${service}.things.${verb}`,
  subject: `alto.rpc.${service}.v1.things.${verb}`,
  version: 1,
  summary,
  http: { method: 'GET', path },
  permission: 'apps.read',
  input: {},
  output: {},
  errors: [],
  idempotent: true,
});

const verbs = (table: RouteTable, service: ServiceName) =>
  table.get(service)?.map(({ name }) => name.slice(`${service}.things.`.length));

const nothing: RouteTable = new Map();

describe('learn', () => {
  const old = {
    service: 'compute',
    version: '0.9.0',
    operations: [operation('compute', 'list', '/v1/a', 'old')],
  } as const;
  const next = {
    service: 'compute',
    version: '0.10.0',
    operations: [operation('compute', 'list', '/v1/a', 'new'), operation('compute', 'get', '/v1/b')],
  } as const;

  it('unites versions that run side by side; the newest defines what both have', () => {
    const table = learn(nothing, [old, next, old]);
    expect(verbs(table, 'compute')).toEqual(['get', 'list']);
    expect(table.get('compute')?.[1]?.summary).toBe('new');
  });

  it('takes conditions and trials where every instance keeps them', () => {
    const keeping = (contract: typeof next) => ({
      ...contract,
      operations: contract.operations.map((one) => ({ ...one, precondition: 'optional', dryRun: true }) as const),
    });
    const newer = learn(nothing, [keeping(next)]).get('compute');
    expect(newer).toMatchObject([
      { precondition: 'optional', dryRun: true },
      { precondition: 'optional', dryRun: true },
    ]);
    const mixed = learn(nothing, [keeping(next), old]).get('compute');
    expect(mixed?.[0]).toMatchObject({ dryRun: true });
    expect(mixed?.[1]).not.toHaveProperty('precondition');
    expect(mixed?.[1]).not.toHaveProperty('dryRun');
  });

  it('forgets an operation when the last instance that had it has gone, while others live', () => {
    expect(verbs(learn(learn(nothing, [old, next]), [old]), 'compute')).toEqual(['list']);
  });

  it('keeps the routes of a service that has no instance left', () => {
    expect(verbs(learn(learn(nothing, [next]), []), 'compute')).toEqual(['get', 'list']);
  });
});

describe('settleRoutes', () => {
  const table = (...operations: LearnedOperation[]): RouteTable =>
    new Map(operations.map((one) => [one.service, [one]] as const));

  it('lets nobody take a route over', () => {
    const mine = operation('storage', 'get', '/v1/things/{thing}');
    const theirs = operation('compute', 'get', '/v1/things/{other}');
    const { routes, refused } = settleRoutes(table(mine, theirs), [mine]);
    expect(routes).toEqual([mine]);
    expect(refused).toEqual([{ operation: theirs, owner: 'storage' }]);
  });

  it("puts the gateway's own first", () => {
    const own = operation('gateway', 'list', '/v1/things');
    const theirs = operation('compute', 'list', '/v1/things');
    expect(settleRoutes(table(theirs, own), [theirs]).routes).toEqual([own]);
  });
});

describe('compareVersions', () => {
  it('compares numbers as numbers', () => {
    expect(['0.10.0', '0.9.1', '0.9.1-rc.2', '1.0'].sort(compareVersions)).toEqual([
      '0.9.1',
      '0.9.1-rc.2',
      '0.10.0',
      '1.0',
    ]);
  });
});
