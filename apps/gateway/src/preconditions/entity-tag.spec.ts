import { allOperations, snapshotOperation } from '@alto/contracts';
import { type LearnedOperation } from '../routing/learned-operation';
import { entityTagOf, showsVersion } from './entity-tag';

const learned = allOperations.map((operation) => snapshotOperation(operation) as unknown as LearnedOperation);

it('shows a version wherever one can be named', () => {
  const conditional = learned.filter(({ precondition }) => precondition !== undefined);
  const silent = conditional.filter((operation) => !showsVersion(operation)).map(({ name }) => name);
  expect(conditional.length).toBeGreaterThan(10);
  // What was deleted there is gone for good.
  expect(silent).toEqual(['search.documents.delete']);
});

it('is the version in quotes, and nothing for what has none', () => {
  expect(entityTagOf({ version: 3 })).toBe('"3"');
  expect([entityTagOf({ version: '3' }), entityTagOf({}), entityTagOf(null), entityTagOf('3')]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
