/** The ETag of an answer: the version of the resource in quotes, which is what `If-Match` is compared with. Pure. */
import type { JsonSchema, LearnedOperation } from '../routing/learned-operation';

/** The operation answers with one resource that has a version. */
export function showsVersion({ output }: LearnedOperation): boolean {
  const { version } = (output.properties ?? {}) as Record<string, JsonSchema>;
  return version?.type === 'integer' || version?.type === 'number';
}

/** @returns undefined for an answer without a version */
export function entityTagOf(output: unknown): string | undefined {
  const version = (output as { version?: unknown } | null | undefined)?.version;
  return typeof version === 'number' ? `"${version}"` : undefined;
}
