import { type Refusal, Refusals } from './refusals';

const refusal = (more: Partial<Refusal> = {}): Refusal => ({
  atMs: 1,
  projectId: 'prj_1',
  key: { id: 'key_1', name: 'ci', role: 'viewer' },
  operation: 'compute.apps.put',
  resource: 'apps/web',
  address: '192.0.2.7',
  requestId: 'r',
  traceId: 't',
  status: 403,
  code: 'forbidden',
  ...more,
});

it('counts the same attempt, and keeps different ones apart', () => {
  const refusals = new Refusals(100);
  for (let count = 0; count < 3; count++) refusals.add(refusal());
  refusals.add(refusal({ resource: 'apps/api' }));
  refusals.add(refusal({ code: 'not_found', status: 404 }));
  refusals.add(refusal({ key: null }));
  refusals.add(refusal({ key: null, address: '192.0.2.8' }));
  expect(refusals.take().map(({ attempts, resource, code }) => [attempts, resource, code])).toEqual([
    [4, '(several)', 'forbidden'],
    [1, 'apps/web', 'not_found'],
    [1, 'apps/web', 'forbidden'],
    [1, 'apps/web', 'forbidden'],
  ]);
  expect(refusals.take()).toEqual([]);
});

it('counts every attempt, and holds few, however many kinds there are', () => {
  const refusals = new Refusals(10);
  for (let count = 0; count < 1_000; count++) refusals.add(refusal({ key: null, address: `192.0.2.${count}` }));
  const taken = refusals.take();
  expect(taken).toHaveLength(11);
  expect(taken.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(1_000);
});

it('loses no count when what was taken is put back', () => {
  const refusals = new Refusals(10);
  refusals.add(refusal());
  refusals.add(refusal());
  const taken = refusals.take();
  refusals.add(refusal());
  refusals.putBack(taken);
  expect(refusals.take().map(({ attempts }) => attempts)).toEqual([3]);
});
