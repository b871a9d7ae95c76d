/**
 * Inputs that an operation must refuse, made of what its contract says: for each place in its input, however deep,
 * values that do not belong there. Whether a value is refused is asked of the contract itself.
 */
import type { Operation } from '@alto/contracts';
import fc from 'fast-check';
import { z } from 'zod';
import { type Input, takesBody } from './exchange';

/** Where a value lies in an input, e.g. `['readiness', 'path']`. */
export type Place = readonly (string | number)[];

export interface BadInput {
  readonly input: Input;
  /** The field that the refusal must name. */
  readonly field: string;
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

const deepest = 6;

/** Every place of the input, and in each object one that it does not have. */
export function placesOf(operation: Operation): Place[] {
  const schema = z.toJSONSchema(operation.input, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const places = new Map(placesIn(schema, []).map((place) => [place.join('.'), place]));
  return [...places.values()];
}

function placesIn(schema: JsonSchema, path: Place): Place[] {
  if (path.length > deepest) return [];
  const { properties, additionalProperties, items, anyOf = [], oneOf = [] } = schema;
  const inProperties = Object.entries(properties ?? {}).flatMap(([name, inner]) => [
    [...path, name],
    ...placesIn(inner, [...path, name]),
  ]);
  const unknown = properties === undefined ? [] : [[...path, 'unheardOf']];
  const inRecord = typeof additionalProperties === 'object' ? placesIn(additionalProperties, [...path, 'SAMPLE']) : [];
  const entry =
    typeof additionalProperties === 'object' ? [[...path, 'SAMPLE'], [...path, 'no name\n'], ...inRecord] : [];
  const inItems = items === undefined ? [] : [[...path, 0], ...placesIn(items, [...path, 0])];
  const branches = [...anyOf, ...oneOf].flatMap((branch) => placesIn(branch, path));
  return [...inProperties, ...unknown, ...entry, ...inItems, ...branches];
}

const nested = (depth: number): unknown => Array.from({ length: depth }).reduce((inner) => [inner], 0);

/** Whatever JSON can say, and more often what tends to hurt. */
const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(null, true, false, '', ' ', {}, [], [null], { '': '' }, nested(20)),
  },
  { weight: 3, arbitrary: fc.constantFrom(-1, 0, 0.5, -0.5, 1e308, -1e308, 2 ** 53, 2 ** 31, -(2 ** 63), 1e-300) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...[
        '\0',
        'a\0b',
        '\ud800',
        'a\udfffb',
        '\u202e',
        '\ufeff',
        '\r\n',
        '..',
        '../../etc/passwd',
        '%00',
        '%',
        '__proto__',
      ],
      ...['constructor', "'; DROP TABLE apps; --", '$(id)', '{{name()}}', '🦊'.repeat(40), 'é', 'e\u0301', '１２'],
      ...['true', 'null', 'NaN', '1e3', '0x10', '-0', ' 1', 'x'.repeat(5_000), 'a.b.>', '*', '>', '\\', '\u0000\u0001'],
    ),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown> },
  {
    weight: 1,
    arbitrary: fc.array(fc.constantFrom<unknown>('x', 1, null), { minLength: 1, maxLength: 1_200, size: 'max' }),
  },
);

/** @param valid an input that the operation takes. @returns as many as there are, `count` at most */
export function badInputs(operation: Operation, valid: Input, place: Place, count: number, seed: number): BadInput[] {
  const field = String(place[0]);
  const bad: BadInput[] = [];
  for (const value of fc.sample(anyValue, { numRuns: count * 12, seed })) {
    const input = withValue(valid, place, value) as Input;
    if (isRefused(operation, input, field)) bad.push({ input, field });
    if (bad.length === count) break;
  }
  return bad;
}

/** Inputs with anything at the place, that the operation may take or not. */
export function anyInputs(valid: Input, place: Place, count: number, seed: number): Input[] {
  return fc.sample(anyValue, { numRuns: count, seed }).map((value) => withValue(valid, place, value) as Input);
}

/** Text in a path or a query may be meant as a number, a truth or a list: refused is what is refused as each. */
function isRefused(operation: Operation, input: Input, field: string): boolean {
  const inText = !takesBody(operation) || isInPath(operation, field) || operation.http?.query?.includes(field) === true;
  if (!inText) return !operation.input.safeParse(input).success;
  const value = input[field];
  const text = typeof value === 'string' ? value.toWellFormed() : (JSON.stringify(value) ?? '');
  const meanings: unknown[] = [text, [text], Number(text), text === 'true', text === 'false'];
  return meanings.every((meaning) => !operation.input.safeParse({ ...input, [field]: meaning }).success);
}

export function isInPath(operation: Operation, field: string): boolean {
  return operation.http?.path.includes(`{${field}}`) === true;
}

/** A copy with the value at the place; what leads there is made where it is missing. */
function withValue(input: unknown, [step, ...rest]: Place, value: unknown): unknown {
  if (step === undefined) return value;
  const inner = (within: unknown) => withValue(within, rest, value);
  if (typeof step === 'number') {
    const list = Array.isArray(input) ? [...(input as unknown[])] : [];
    list[step] = inner(list[step]);
    return list;
  }
  const object = typeof input === 'object' && input !== null && !Array.isArray(input) ? input : {};
  const known = Object.hasOwn(object, step) ? (object as Record<string, unknown>)[step] : undefined;
  return { ...object, [step]: inner(known) };
}
