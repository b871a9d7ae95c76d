/** A valid input for any operation, so that a new one is tried without a line in the tests. */
import type { Operation } from '@alto/contracts';
import type { Input } from './exchange';

/** Values that exist, by the name of the field that takes them. */
export type Known = Readonly<Record<string, unknown>>;

const guesses: readonly unknown[] = [
  'sample',
  'sample.test',
  'node',
  1,
  true,
  ['sample'],
  {},
  { sample: 'sample' },
  [],
  '1',
  'true',
  '2026-01-01T00:00:00.000Z',
  'viewer',
];

/**
 * What is known for every field of that name, and for the other required ones something that the schema takes.
 * @throws Error that says which field of a new operation cannot be guessed
 */
export function sampleInput(operation: Operation, known: Known): Input {
  const input: Record<string, unknown> = {};
  for (const [field, schema] of Object.entries(operation.input.shape)) {
    if (Object.hasOwn(known, field) && schema.safeParse(known[field]).success) input[field] = known[field];
    else if (!schema.safeParse(undefined).success) input[field] = guess(operation, field, schema);
  }
  const { success, error } = operation.input.safeParse(input);
  if (!success) throw new Error(`${operation.name}: ${JSON.stringify(input)} is no valid input: ${error.message}`);
  return input;
}

type FieldSchema = Operation['input']['shape'][string];

function guess(operation: Operation, field: string, schema: FieldSchema): unknown {
  const options = (schema as { options?: readonly unknown[] }).options ?? [];
  const found = [...options, ...guesses].find((value) => schema.safeParse(value).success);
  if (found !== undefined) return found;
  throw new Error(`${operation.name}: say in tests/e2e/walls what a valid '${field}' is`);
}
