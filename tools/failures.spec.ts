import { failuresOf, type TestFile } from './failures';

const root = '/somewhere/alto';
const file = (more: Partial<TestFile>): TestFile => ({
  name: `${root}/apps/search/src/hits.spec.ts`,
  status: 'failed',
  message: '',
  assertionResults: [],
  ...more,
});
const failedTest = (message: string) =>
  file({
    assertionResults: [
      { status: 'passed', fullName: 'hits are found', failureMessages: [] },
      { status: 'failed', fullName: 'hits are counted', failureMessages: [message] },
    ],
  });
const stack = [
  '    at check (node:assert:12:3)',
  `    at expect (${root}/node_modules/expect/index.js:1:2)`,
  `    at overdue (${root}/libs/testing/src/eventually.ts:39:10)`,
  `    at Object.<anonymous> (${root}/apps/search/src/hits.spec.ts:12:3)`,
];

it('names each failed test, its error without colours, and where it was thrown', () => {
  const message = ['Error: \u001B[31mexpect\u001B[39m(received)', '', 'Expected: 1', 'Received: 2', ...stack].join(
    '\n',
  );
  expect(failuresOf([file({ status: 'passed' }), failedTest(message)], root)).toEqual([
    `✕ apps/search/src/hits.spec.ts › hits are counted
    Error: expect(received)
    Expected: 1
    Received: 2
    at Object.<anonymous> (apps/search/src/hits.spec.ts:12:3)`,
  ]);
});

it('tells what failed a file outside its tests', () => {
  const [told] = failuresOf([file({ message: '  ● Test suite failed to run\n\n    Cannot find module x' })], root);
  expect(told).toBe(`✕ apps/search/src/hits.spec.ts outside its tests
      ● Test suite failed to run
        Cannot find module x`);
});

it('shows of a long comparison what differs, and of a long line where', () => {
  const same = 'x'.repeat(1_000);
  const message = [
    'Error: expect(received).toEqual(expected)',
    '- Expected',
    '+ Received',
    ...Array.from({ length: 200 }, (_, at) => `    same ${at}`),
    `-   ${same}one${same}`,
    `+   ${same}two${same}`,
    ...stack,
  ].join('\n');
  const told = failuresOf([failedTest(message)], root)[0]!.split('\n');
  expect(told.length).toBeLessThanOrEqual(16);
  expect(told.filter((line) => line.length > 400)).toEqual([]);
  expect(told.find((line) => line.includes('xonex'))).toMatch(/^ {4}- /);
  expect(told.find((line) => line.includes('xtwox'))).toMatch(/^ {4}\+ /);
  expect(told.at(-1)).toContain('hits.spec.ts:12:3');
});

it('says no more than fifteen lines of an error, however long it is', () => {
  const message = Array.from({ length: 500 }, (_, at) => `line ${at}`).join('\n');
  expect(failuresOf([failedTest(message)], root)[0]!.split('\n')).toHaveLength(15);
});

it('says once what failed many tests of a file', () => {
  const tests = ['a', 'b', 'c'].map((fullName) => ({ status: 'failed', fullName, failureMessages: ['did not start'] }));
  expect(failuresOf([file({ assertionResults: tests })], root)).toEqual([
    '✕ apps/search/src/hits.spec.ts › a (and 2 more)\n    did not start',
  ]);
});
