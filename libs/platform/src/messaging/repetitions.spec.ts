import { operation } from '@alto/contracts';
import { z } from 'zod';
import { Allowance, repetitionsOf } from './repetitions';

const read = operation({
  service: 'compute',
  noun: 'work',
  verb: 'get',
  version: 1,
  summary: 'For tests',
  http: { method: 'GET', path: '/v1/work' },
  permission: 'apps.read',
  callers: ['gateway'],
  input: z.object({}),
  output: z.object({}),
  errors: [],
  idempotent: true,
});
const change = operation({ ...read, verb: 'put', http: { method: 'PUT', path: '/v1/work' }, permission: 'apps.write' });
const command = operation({ ...change, verb: 'restart', idempotent: false });
const report = operation({
  ...read,
  verb: 'report',
  http: undefined,
  permission: 'internal',
  callers: ['storage'],
});
const onceKey = 'a'.repeat(64);

it.each([
  ['a read: soon, and when NATS has surely dropped who is frozen', read, undefined, 10_000, [1_000, 7_000]],
  ['a read whose caller has little time', read, undefined, 1_000, [250, 700]],
  ['a change that may be done twice: late', change, undefined, 10_000, [7_000]],
  ['a change that is done once by its name: as a read', change, { onceKey }, 10_000, [1_000, 7_000]],
  ['a command: never', command, undefined, 10_000, []],
  ['a command that is done once by its name', command, { onceKey }, 10_000, [1_000, 7_000]],
  ['what services tell each other: never', report, undefined, 10_000, []],
  ['what one instance is asked: never', { ...read, perInstance: true }, undefined, 10_000, []],
])('repeats %s', (_, asked, terms, budgetMs, expected) => {
  expect(repetitionsOf(asked, terms, budgetMs)).toEqual(expected);
});

/** @returns repetitions that were made of so many requests, each of which was answered in the way that is said. */
function repeatedOf(requests: number, way: (request: number) => 'soon' | 'late' | 'never'): number {
  const allowance = new Allowance();
  let repeated = 0;
  for (let request = 0; request < requests; request++) {
    const answered = way(request);
    if (answered === 'soon') {
      allowance.earn();
      continue;
    }
    if (!allowance.take()) continue;
    repeated++;
    if (answered === 'late') allowance.regret();
    else allowance.earn();
  }
  return repeated;
}

it('lets every request be repeated that one of two instances does not answer', () => {
  expect(repeatedOf(1_000, (request) => (request % 2 === 0 ? 'soon' : 'never'))).toBe(500);
});

it('hardly ever repeats where all are slow, and one in twenty where many are', () => {
  expect(repeatedOf(10_000, () => 'late')).toBe(3);
  const halfLate = repeatedOf(10_000, (request) => (request % 2 === 0 ? 'soon' : 'late'));
  expect(halfLate / 10_000).toBeLessThan(0.05);
  expect(halfLate).toBeGreaterThan(100);
});

it('trusts a service again that was slow, after a while', () => {
  const slowThenFrozen = repeatedOf(1_000, (request) =>
    request < 300 ? 'late' : request < 500 ? 'soon' : request % 2 === 0 ? 'soon' : 'never',
  );
  expect(slowThenFrozen).toBe(3 + 250);
});
