/** What a user says of an app, and what every default is. */
import { z } from 'zod';
import { idOf } from '../ids';

const environmentName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and underscores, and not begin with a digit');

const httpPath = z
  .string()
  .max(1000)
  .regex(/^\/[\x21-\x7e]*$/, 'must begin with / and hold no blanks');

/** The port that routes lead to. */
export const httpPort = 'http';

export const portsSchema = z
  .array(z.string().regex(/^[a-z][a-z0-9-]{0,14}$/, 'must be up to 15 of a–z, 0–9 and -, and begin with a letter'))
  .max(10)
  .default([httpPort])
  .refine((names) => new Set(names).size === names.length, 'must name each port once')
  .describe('Names of its ports: `http` is given as PORT and routes lead to it, `x` as PORT_X; none for a worker');

/** The variable that a port is given in. */
export function portVariable(name: string): string {
  return name === httpPort ? 'PORT' : `PORT_${name.toUpperCase().replaceAll('-', '_')}`;
}

export const readinessSchema = z.strictObject({
  path: httpPath.default('/').describe('HTTP path that answers 200–399 once the instance can serve'),
  timeoutMs: z.number().int().min(100).max(60_000).default(2_000),
  deadlineMs: z
    .number()
    .int()
    .min(1_000)
    .max(3_600_000)
    .default(300_000)
    .describe('An instance that is not ready after this long has failed'),
});

export const resourcesSchema = z.strictObject({
  cpuMillis: z
    .number()
    .int()
    .min(10)
    .max(256_000)
    .default(100)
    .describe('Thousandths of a CPU that it has for sure; what it is placed by'),
  memoryBytes: z
    .number()
    .int()
    .min(1_048_576)
    .max(2 ** 42)
    .default(134_217_728)
    .describe('Memory in bytes, which it is placed by and can have at most: more, and it is killed'),
});

export const stopSchema = z.strictObject({
  signal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']).default('SIGTERM'),
  graceMs: z.number().int().min(0).max(600_000).default(30_000).describe('From the signal to SIGKILL'),
});

/** Where an instance answers that it still works; one that does not is started again by its agent. */
export const livenessSchema = z.strictObject({
  path: httpPath.default('/').describe('HTTP path that answers 200–399 while the instance works'),
  intervalMs: z.number().int().min(100).max(3_600_000).default(10_000),
  timeoutMs: z.number().int().min(100).max(60_000).default(2_000),
  failuresMax: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('Failed checks in a row after which it is restarted'),
});

export const restartSchema = z.enum(['always', 'on-failure', 'never']);

const surgeField = z.number().int().min(1).max(1_000);

/** How the answers of a new revision are compared with those of the old one: 5xx, or none at all, is a failure. */
export const checksSchema = z.strictObject({
  errorRatePercentMax: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe('Percentage points that it may fail more of its requests than the old one; more reverts it'),
  requestsMin: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('Requests to it in a step below which its answers are not judged'),
});

/** How an app moves to another revision; the old one serves throughout. */
export const strategySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('rolling'),
    surge: surgeField
      .optional()
      .describe('Instances beyond the replicas while it moves; a quarter of them, at least 1'),
  }),
  z.strictObject({
    kind: z.literal('canary'),
    steps: z
      .array(
        z.strictObject({
          weight: z.number().int().min(1).max(99).describe('Percent of the requests that the new revision gets'),
          holdMs: z.number().int().min(0).max(86_400_000).default(60_000).describe('How long it must stay healthy so'),
        }),
      )
      .min(1)
      .max(20)
      .default([
        { weight: 10, holdMs: 60_000 },
        { weight: 50, holdMs: 60_000 },
      ])
      .describe('Taken one after the other; after the last one the rest is replaced'),
    crashesMax: z.number().int().min(0).max(2).default(0).describe('Crashes of new instances that revert nothing yet'),
    checks: checksSchema.prefault({}).describe('What the new revision is held to at each step'),
  }),
  z.strictObject({ kind: z.literal('blue-green') }),
]);
export type Strategy = z.infer<typeof strategySchema>;

const labelName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/, 'must be letters, digits and . _ / - between them');
const labelValue = z.string().max(200);

/** By which apps can ask for a machine that walls them in. The agent says it of its machine. */
export const sandboxLabel = {
  name: 'alto.sandbox',
  /** What a machine has that starts no app, because the sandbox that its operator demands is not to be had there. */
  missing: 'missing',
} as const;

/** What is known of a node beside its name; `node` is its name and is no label. */
export const labelsSchema = z
  .record(labelName, labelValue)
  .refine((labels) => Object.keys(labels).length <= 50, 'must hold 50 labels at most')
  .refine((labels) => !Object.hasOwn(labels, 'node'), "node is the node's name and cannot be a label");

export const constraintSchema = z.strictObject({
  label: labelName.describe("Label of nodes, or `node` for a node's name"),
  equals: labelValue,
});

/** How a revision is rolled out: not part of it, so that changing it makes none. */
const rolloutPolicy = {
  strategy: strategySchema.prefault({ kind: 'rolling' }).describe('rolling, canary or blue-green'),
  healthyMs: z
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(10_000)
    .describe('How long a new instance must have been ready before the next one follows'),
  progressDeadlineMs: z
    .number()
    .int()
    .min(1_000)
    .max(86_400_000)
    .default(600_000)
    .describe('A rollout that has come no further for this long has failed'),
  autoRevert: z.boolean().default(true).describe('A failed rollout goes back to the last good revision by itself'),
};

export const replicasField = z.number().int().min(0).max(1_000);

/** What a user asks for: the body of PUT and the content of `alto.yaml`. */
export const appSpecSchema = z.strictObject({
  bundle: idOf('bundle').nullable().default(null).describe('Files of the app, as uploaded; null for a command alone'),
  command: z
    .array(z.string().max(4096))
    .min(1)
    .max(100)
    .refine((words) => words[0] !== '', 'must begin with a program')
    .describe('Program and its arguments; no shell reads them'),
  env: z
    .record(environmentName, z.string().max(32_768))
    .default({})
    .refine((env) => Object.keys(env).length <= 200, 'must hold 200 variables at most')
    .refine((env) => !Object.hasOwn(env, 'PORT'), 'PORT is set by Alto'),
  secrets: z
    .array(environmentName)
    .max(100)
    .default([])
    .refine((names) => new Set(names).size === names.length, 'must name each secret once')
    .refine((names) => !names.includes('PORT'), 'PORT is set by Alto')
    .describe('Secrets of the project that become environment variables of the same name'),
  replicas: replicasField.default(1),
  ports: portsSchema,
  readiness: readinessSchema.prefault({}),
  liveness: livenessSchema.nullable().default(null).describe('Left out: an instance that runs is taken to work'),
  restart: restartSchema.default('always').describe('When an instance that has ended is started again'),
  resources: resourcesSchema.prefault({}),
  stop: stopSchema.prefault({}),
  constraints: z.array(constraintSchema).max(20).default([]).describe('Only nodes for which all hold take instances'),
  spread: labelName.default('node').describe('Label of nodes over whose values instances are spread'),
  ...rolloutPolicy,
});
export type AppSpec = z.infer<typeof appSpecSchema>;
