/** What makes two specifications the same revision. */
import { createHash } from 'node:crypto';
import type { AppSpec } from '@alto/contracts';
import type { Template } from './revision.entity';

/** SHA-256 over the content in canonical JSON: the order in which a user wrote the fields does not matter. */
export function hashOf(template: Template, bundle: string | null): string {
  return createHash('sha256').update(canonical({ template, bundle })).digest('hex');
}

export function templateOf({ replicas: _replicas, bundle: _bundle, ...template }: AppSpec): Template {
  return template;
}

export function sameSpec(a: AppSpec, b: AppSpec): boolean {
  return canonical(a) === canonical(b);
}

/** JSON with the keys of every object in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, nested: unknown) =>
    typeof nested === 'object' && nested !== null && !Array.isArray(nested)
      ? Object.fromEntries(Object.entries(nested).sort(([a], [b]) => (a < b ? -1 : 1)))
      : nested,
  );
}
