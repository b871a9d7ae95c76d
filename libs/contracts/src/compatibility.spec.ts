import { z } from 'zod';
import { breakingChanges } from './compatibility';
import { event } from './event';
import { operation, type Operation } from './operation';
import { snapshotContracts } from './snapshot';

const lamp = (input: z.ZodObject, output: z.ZodType, more: Partial<Operation> = {}) =>
  operation({
    service: 'search',
    noun: 'lamps',
    verb: 'put',
    version: 1,
    summary: 'Set a lamp',
    http: { method: 'PUT', path: '/v1/projects/{project}/lamps' },
    permission: 'indexes.write',
    callers: ['gateway'],
    errors: [],
    idempotent: true,
    ...more,
    input: input.extend({ project: z.string() }),
    output,
  });

const changes = (before: Operation, after?: Operation) =>
  breakingChanges(snapshotContracts([before], []), snapshotContracts(after === undefined ? [] : [after], []));

const plain = lamp(z.object({ on: z.boolean() }), z.object({ watts: z.number() }));

describe('a change that breaks older callers is told', () => {
  it.each<[string, Operation | undefined, RegExp]>([
    ['the operation is gone', undefined, /was removed/],
    [
      'a new required input',
      lamp(z.object({ on: z.boolean(), hue: z.string() }), plain.output),
      /hue: is now required/,
    ],
    ['an input is gone', lamp(z.object({}), plain.output), /on: was removed/],
    ['an input of another type', lamp(z.object({ on: z.string() }), plain.output), /on: type was "boolean"/],
    ['an output is gone', lamp(z.object({ on: z.boolean() }), z.object({})), /watts: was removed/],
    [
      'an output may be missing',
      lamp(z.object({ on: z.boolean() }), z.object({ watts: z.number().optional() })),
      /may now be missing/,
    ],
    [
      'another permission',
      lamp(plain.input, plain.output, { permission: 'apps.write' }),
      /permission was indexes.write/,
    ],
    ['no longer idempotent', lamp(plain.input, plain.output, { idempotent: false }), /idempotent/],
    [
      'another route',
      lamp(plain.input, plain.output, { http: { method: 'POST', path: '/v1/projects/{project}/lamps' } }),
      /route/,
    ],
  ])('%s', (_name, after, message) => {
    expect(changes(plain, after).join('\n')).toMatch(message);
  });

  it('an input bound becomes tighter, an enum loses a value, an output enum gains one', () => {
    const before = lamp(
      z.object({ name: z.string().max(10), hue: z.enum(['red', 'blue']) }),
      z.object({ state: z.enum(['on']) }),
    );
    const after = lamp(
      z.object({ name: z.string().max(9), hue: z.enum(['red']) }),
      z.object({ state: z.enum(['on', 'off']) }),
    );
    expect(changes(before, after)).toHaveLength(3);
  });

  it('an event loses a field', () => {
    const lit = (data: z.ZodType) =>
      event({ service: 'search', noun: 'lamps', verb: 'lit', version: 1, summary: 'Lit', data });
    const before = snapshotContracts([], [lit(z.object({ lamp: z.string() }))]);
    expect(breakingChanges(before, snapshotContracts([], [lit(z.object({}))]))).toEqual([
      'search.lamps.lit@1 data.lamp: was removed',
    ]);
  });
});

it.each<[string, Operation]>([
  ['nothing at all', plain],
  ['an optional input', lamp(z.object({ on: z.boolean(), hue: z.string().optional() }), plain.output)],
  ['a further output', lamp(z.object({ on: z.boolean() }), z.object({ watts: z.number(), since: z.string() }))],
])('a change that older callers live with is not: %s', (_name, after) => {
  expect(changes(plain, after)).toEqual([]);
});
