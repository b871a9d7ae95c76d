/** What makes two specifications the same revision. */
import { createHash } from 'node:crypto';
import type { AppSpec } from '@alto/contracts';
import { withoutUsualPorts } from '../columns';
import type { Stamp, Template } from './revision.entity';

/** SHA-256 over the content in canonical JSON: the order in which a user wrote the fields does not matter. */
export function hashOf(template: Template, bundle: string | null, stamp: Stamp): string {
  const content = { template: withoutUsualPorts(template), bundle, stamp };
  return createHash('sha256').update(canonical(content)).digest('hex');
}

export function templateOf(spec: AppSpec): Template {
  const { replicas: _replicas, bundle: _bundle, ...rest } = spec;
  const {
    strategy: _strategy,
    healthyMs: _healthy,
    progressDeadlineMs: _deadline,
    autoRevert: _revert,
    ...template
  } = rest;
  return template;
}

/** What instances are made of is the same, whatever their number and the way they are rolled out. */
export function sameContent(a: AppSpec, b: AppSpec): boolean {
  return a.bundle === b.bundle && canonical(templateOf(a)) === canonical(templateOf(b));
}

/** The specification that makes such a revision, with the number and the way of rolling out of another. */
export function specWith(spec: AppSpec, template: Template, bundle: string | null): AppSpec {
  return { ...spec, ...template, bundle };
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
