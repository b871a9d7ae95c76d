import golden from '../contracts.golden.json' with { type: 'json' };
import { allEvents, allOperations } from './catalogue';
import { breakingChanges } from './compatibility';
import { type ContractSnapshot, snapshotContracts } from './snapshot';

const current = snapshotContracts(allOperations, allEvents);

it('no change of the contracts breaks an older caller', () => {
  expect(breakingChanges(golden as unknown as ContractSnapshot, current)).toEqual([]);
});

it('the golden file is the contracts as they are (after a change: npm run docs)', () => {
  expect(JSON.parse(JSON.stringify(current))).toEqual(golden);
});
