/** How columns that TypeScript knows differently are read and written. */
import { httpPort } from '@alto/contracts';
import type { ValueTransformer } from 'typeorm';

/** PostgreSQL's driver gives a bigint as text; counters here stay far below 2^53. */
export const bigintAsNumber: ValueTransformer = {
  to: (value: number | null) => value,
  from: (value: string | null) => (value === null ? null : Number(value)),
};

/**
 * What says which ports an app has. The one port that every app had before this could be said goes without saying: a
 * release of before reads what it has written itself, and the same content stays the same revision.
 */
export const withPorts: ValueTransformer = {
  to: withoutUsualPorts,
  from: (value: object | null) => (value === null ? null : { ports: [httpPort], ...value }),
};

export function withoutUsualPorts<T extends object>(value: T): T {
  if (!('ports' in value) || JSON.stringify(value.ports) !== JSON.stringify([httpPort])) return value;
  const { ports: _, ...rest } = value;
  return rest as T;
}
