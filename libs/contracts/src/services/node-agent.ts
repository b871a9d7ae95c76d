import { z } from 'zod';
import { timeField } from '../fields';
import { operation } from '../operation';

/** Of 50 instances, each on a node of its own with the longest name, and places far into long logs. */
const cursorCharactersMax = 8_000;

export const logQuery = {
  lines: z.coerce.number().int().min(1).max(1_000).default(100).describe('Lines to return at most'),
  cursor: z
    .string()
    .max(cursorCharactersMax)
    .optional()
    .describe('`cursor` of the answer before; without it the last lines are read'),
};

/** Of the lines of a page as JSON: it must fit into one NATS message with all that goes with it. */
export const logPageBytesMax = 700_000;

export const logLineSchema = z.object({
  instance: z.string(),
  stream: z.enum(['output', 'alto']),
  /** When the line was read, where that is known. */
  time: timeField.nullable(),
  text: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** `cursor` is always there: asking with it later returns what was written since. */
export const logPageSchema = z.object({ lines: z.array(logLineSchema), cursor: z.string() });

export const nodeAgentOperations = {
  logs: {
    read: operation({
      service: 'node-agent',
      noun: 'logs',
      verb: 'read',
      version: 1,
      summary: 'Read log lines of instances on this machine',
      permission: 'internal',
      callers: ['compute'],
      input: z.object({
        instances: z.array(z.string().max(60)).min(1).max(100),
        ...logQuery,
        bytes: z
          .number()
          .int()
          .min(1_000)
          .max(logPageBytesMax)
          .default(logPageBytesMax)
          .describe('Bytes of the lines as JSON to return at most; a line longer than its share of them is cut'),
      }),
      output: logPageSchema,
      errors: [],
      idempotent: true,
      perInstance: true,
    }),
  },
};
