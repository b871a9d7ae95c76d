/**
 * What a change of the contracts breaks. A caller built against the older contracts must go on working: it sends what
 * was valid then, and reads what was promised then. Unknown constraints that differ count as broken: better one
 * question too many than a caller that fails in production.
 */
import type { ContractSnapshot, JsonSchema, OperationSnapshot } from './snapshot';

/** A caller sends an input: it must not become narrower. It reads an output: that must not lose anything. */
type Direction = 'input' | 'output';

const upperBounds = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const lowerBounds = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const exactConstraints = ['pattern', 'format', 'const', 'type', '$ref'];

/** @returns one sentence for each way in which `newer` breaks callers of `older`; empty when it breaks none */
export function breakingChanges(older: ContractSnapshot, newer: ContractSnapshot): string[] {
  const operations = Object.entries(older.operations).flatMap(([key, before]) => {
    const after = newer.operations[key];
    return after === undefined ? [`${key}: was removed`] : operationChanges(key, before, after);
  });
  const events = Object.entries(older.events).flatMap(([key, before]) => {
    const after = newer.events[key];
    return after === undefined
      ? [`${key}: was removed`]
      : schemaChanges(`${key} data`, before.data, after.data, 'output');
  });
  return [...operations, ...events];
}

function operationChanges(key: string, before: OperationSnapshot, after: OperationSnapshot): string[] {
  const changes: string[] = [];
  for (const field of ['subject', 'permission'] as const) {
    if (before[field] !== after[field]) changes.push(`${key}: ${field} was ${before[field]}, is ${after[field]}`);
  }
  if (JSON.stringify(before.http ?? null) !== JSON.stringify(after.http ?? null))
    changes.push(`${key}: the HTTP route changed`);
  if (before.idempotent && !after.idempotent) changes.push(`${key}: is no longer idempotent, but callers retry it`);
  if (after.precondition === 'required' && before.precondition !== 'required')
    changes.push(`${key}: a change without If-Match is now refused`);
  if (before.precondition !== undefined && after.precondition === undefined)
    changes.push(`${key}: no longer takes If-Match`);
  if (before.dryRun && !after.dryRun) changes.push(`${key}: no longer takes dryRun`);
  const lost = before.callers.filter((caller) => !after.callers.includes(caller));
  if (lost.length > 0) changes.push(`${key}: ${lost.join(', ')} may no longer call it`);
  return [
    ...changes,
    ...schemaChanges(`${key} input`, before.input, after.input, 'input'),
    ...schemaChanges(`${key} output`, before.output, after.output, 'output'),
  ];
}

function schemaChanges(path: string, before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  return [
    ...propertyChanges(path, before, after, direction),
    ...constraintChanges(path, before, after, direction),
    ...childChanges(path, before, after, direction),
  ];
}

function propertyChanges(path: string, before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  const [had, has] = [schemasIn(before, 'properties'), schemasIn(after, 'properties')];
  const [needed, needs] = [namesIn(before, 'required'), namesIn(after, 'required')];
  const changes = Object.entries(had).flatMap(([name, schema]) => {
    const now = has[name];
    return now === undefined
      ? [`${path}.${name}: was removed`]
      : schemaChanges(`${path}.${name}`, schema, now, direction);
  });
  if (direction === 'input') {
    changes.push(...needs.filter((name) => !needed.includes(name)).map((name) => `${path}.${name}: is now required`));
  } else {
    const lost = needed.filter((name) => !needs.includes(name) && has[name] !== undefined);
    changes.push(...lost.map((name) => `${path}.${name}: may now be missing`));
  }
  return changes;
}

function constraintChanges(path: string, before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  const changes: string[] = [];
  for (const keyword of exactConstraints) {
    const [was, is] = [JSON.stringify(before[keyword]), JSON.stringify(after[keyword])];
    const loosened = direction === 'input' && is === undefined && keyword !== 'type';
    if (was !== is && !loosened) changes.push(`${path}: ${keyword} was ${was ?? 'open'}, is ${is ?? 'open'}`);
  }
  changes.push(...enumChanges(path, before, after, direction));
  if (direction === 'output') return changes;
  for (const keyword of [...upperBounds, ...lowerBounds]) {
    if (narrower(keyword, before[keyword], after[keyword])) {
      changes.push(`${path}: ${keyword} was ${String(before[keyword] ?? 'open')}, is ${String(after[keyword])}`);
    }
  }
  if (before['additionalProperties'] !== false && after['additionalProperties'] === false) {
    changes.push(`${path}: further fields are now refused`);
  }
  return changes;
}

function narrower(keyword: string, was: unknown, is: unknown): boolean {
  if (typeof is !== 'number') return false;
  if (typeof was !== 'number') return true;
  return upperBounds.includes(keyword) ? is < was : is > was;
}

/** An input must accept every value that it did. An output may not gain values: a caller's `switch` does not know them. */
function enumChanges(path: string, before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  const [was, is] = [before['enum'], after['enum']];
  if (!Array.isArray(was) && !Array.isArray(is)) return [];
  if (!Array.isArray(is)) return direction === 'input' ? [] : [`${path}: was one of a list and is now open`];
  if (!Array.isArray(was)) return direction === 'input' ? [`${path}: was open and is now one of a list`] : [];
  const [kept, offered] = direction === 'input' ? [was, is] : [is, was];
  const missing = kept.filter((value) => !offered.includes(value));
  const change = direction === 'input' ? 'is no longer accepted' : 'is a value that callers do not know';
  return missing.map((value) => `${path}: ${JSON.stringify(value)} ${change}`);
}

function childChanges(path: string, before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  const changes: string[] = [];
  for (const keyword of ['items', 'additionalProperties', 'propertyNames']) {
    const [was, is] = [before[keyword], after[keyword]];
    if (isSchema(was) && isSchema(is)) changes.push(...schemaChanges(`${path}[${keyword}]`, was, is, direction));
    else if (isSchema(was) !== isSchema(is) && keyword !== 'additionalProperties')
      changes.push(`${path}: ${keyword} changed`);
  }
  for (const keyword of ['anyOf', 'allOf', 'oneOf', 'prefixItems']) {
    const [was, is] = [listIn(before, keyword), listIn(after, keyword)];
    if (was.length !== is.length) changes.push(`${path}: ${keyword} had ${was.length} forms, has ${is.length}`);
    was.forEach((schema, index) => {
      const now = is[index];
      if (now !== undefined) changes.push(...schemaChanges(`${path}(${keyword} ${index})`, schema, now, direction));
    });
  }
  for (const [name, schema] of Object.entries(schemasIn(before, '$defs'))) {
    const now = schemasIn(after, '$defs')[name];
    if (now !== undefined) changes.push(...schemaChanges(`${path}#${name}`, schema, now, direction));
  }
  return changes;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function schemasIn(schema: JsonSchema, keyword: string): Record<string, JsonSchema> {
  const value = schema[keyword];
  return isSchema(value) ? (value as Record<string, JsonSchema>) : {};
}

function listIn(schema: JsonSchema, keyword: string): JsonSchema[] {
  const value = schema[keyword];
  return Array.isArray(value) ? value.filter(isSchema) : [];
}

function namesIn(schema: JsonSchema, keyword: string): string[] {
  const value = schema[keyword];
  return Array.isArray(value) ? value.map(String) : [];
}
