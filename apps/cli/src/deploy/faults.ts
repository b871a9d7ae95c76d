/** What is wrong with a file that a person has written: each fault on one line, by the path of its key. */
import { z } from 'zod';

export function faultsOf(schema: z.ZodType, error: z.ZodError): string[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownKey(schema, [...issue.path, key]))
      : [`${issue.path.length === 0 ? 'the file' : pathOf(issue.path)}: ${inWords(issue)}`],
  );
}

function inWords(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) return 'is missing';
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) return 'is none of those there are';
  return issue.message.replace(/^Invalid input: /, '');
}

function unknownKey(schema: z.ZodType, path: readonly PropertyKey[]): string {
  const near = keysAt(schema, path.slice(0, -1)).filter((known) => isTypo(String(path.at(-1)), known));
  const hint = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  return `${pathOf(path)}: there is no such key${hint}`;
}

const pathOf = (path: readonly PropertyKey[]) => path.map(String).join('.');

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

/** The keys that may stand at this place. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let place: JsonSchema | undefined = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  for (const key of path) place = place?.properties?.[String(key)];
  return Object.keys(place?.properties ?? {});
}

const typoLettersMax = 2;

/** A letter or two are left out, put in or others (V. I. Levenshtein's distance, row by row). */
function isTypo(typed: string, known: string): boolean {
  let row = Array.from({ length: known.length + 1 }, (_, index) => index);
  for (const [at, letter] of [...typed].entries()) {
    const next = [at + 1];
    for (const [index, other] of [...known].entries()) {
      const replaced = (row[index] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[index + 1] ?? 0) + 1, (next[index] ?? 0) + 1));
    }
    row = next;
  }
  return (row.at(-1) ?? 0) <= typoLettersMax;
}
