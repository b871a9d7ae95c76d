/** How columns that TypeScript knows differently are read and written. */
import type { ValueTransformer } from 'typeorm';

/** PostgreSQL's driver gives a bigint as text; counters here stay far below 2^53. */
export const bigintAsNumber: ValueTransformer = {
  to: (value: number | null) => value,
  from: (value: string | null) => (value === null ? null : Number(value)),
};
