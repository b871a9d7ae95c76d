/** Fields that many operations share, so that a name means the same everywhere. */
import { z } from 'zod';

/** A DNS label: what projects, apps, routes and indexes are named. */
export const nameField = z
  .string()
  .min(1)
  .max(40)
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    'must be lower-case letters, digits and hyphens, and begin and end with a letter or digit',
  );

/** A project's name or id. The gateway replaces it by the id before a service sees it. */
export const projectField = z.string().min(1).max(40).describe('Name or id of the project');

/** RFC 3339 in UTC with milliseconds. */
export const timeField = z.iso.datetime();

export const pageRequest = {
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Items to return at most'),
  cursor: z.string().max(500).optional().describe('`nextCursor` of the page before'),
};

/** A page of a list; without `nextCursor` it is the last one. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), nextCursor: z.string().optional() });
}

export const emptyOutput = z.object({});
