/** Apps and what belongs to them, and nodes, as users are shown them. */
import { z } from 'zod';
import { nameField, timeField } from '../fields';
import { idOf } from '../ids';
import { appSpecSchema, resourcesSchema } from './app-spec';

export const instanceStates = [
  'pending',
  'starting',
  'ready',
  'unready',
  'backoff',
  'draining',
  'stopping',
  'stopped',
  'failed',
  'lost',
] as const;

export const addressSchema = z.object({ ip: z.string(), port: z.number().int().min(1).max(65_535) });

/** Where each port beside `http` is reached, by name. Whoever has known one port alone leaves it out. */
export const furtherPortsSchema = z.record(z.string(), addressSchema).default({});

export const instanceSchema = z.object({
  id: idOf('instance'),
  app: idOf('app'),
  revision: z.number().int(),
  node: z.string().nullable(),
  state: z.enum(instanceStates),
  /** Why it is in this state and what would move it on, in words. */
  reason: z.string(),
  /** Of its port `http`; null also where it has none. */
  address: addressSchema.nullable(),
  ports: furtherPortsSchema,
  restarts: z.number().int(),
  exitCode: z.number().int().nullable(),
  version: z.number().int(),
  createdAt: timeField,
  updatedAt: timeField,
});
export type Instance = z.infer<typeof instanceSchema>;

export const rolloutPhases = ['running', 'reverting', 'completed', 'rolled_back', 'failed', 'superseded'] as const;

/** An app's way from one revision to another. */
export const rolloutStatusSchema = z.object({
  /** Counts up within the app. */
  number: z.number().int(),
  phase: z.enum(rolloutPhases),
  strategy: z.enum(['rolling', 'canary', 'blue-green']),
  /** Number of the revision that the app came from; null for its first. */
  from: z.number().int().nullable(),
  to: z.number().int(),
  /** What it waits for, or why it has ended, in words. */
  reason: z.string(),
  /** Of a canary that is at one of its steps; `weight` is the percentage of requests. */
  step: z.object({ number: z.number().int(), of: z.number().int(), weight: z.number().int() }).nullable(),
  failingInstance: z.string().nullable(),
  /** What the failing instance said last. */
  lastLogLines: z.array(z.string()),
});
export type RolloutStatus = z.infer<typeof rolloutStatusSchema>;

export const rolloutSchema = rolloutStatusSchema.extend({ startedAt: timeField, endedAt: timeField.nullable() });
export type Rollout = z.infer<typeof rolloutSchema>;

/** `rolled_back`: every replica is ready, of the revision before, for the newest one failed. */
export const appStates = ['running', 'progressing', 'degraded', 'rolled_back', 'stopped', 'deleting'] as const;

export const appStatusSchema = z.object({
  state: z.enum(appStates),
  reason: z.string(),
  desired: z.number().int(),
  ready: z.number().int(),
  /** Ready instances of the current revision. */
  updated: z.number().int(),
  /** The newest one; null for an app that has had none since rollouts are recorded. */
  rollout: rolloutStatusSchema.nullable(),
});

export const appSchema = z.object({
  id: idOf('app'),
  project: idOf('project'),
  name: nameField,
  spec: appSpecSchema,
  revision: z.number().int(),
  version: z.number().int(),
  status: appStatusSchema,
  createdAt: timeField,
  updatedAt: timeField,
});
export type App = z.infer<typeof appSchema>;

/** What a change would do. */
export const appPlanSchema = z.object({
  /** Fields of the specification that change, e.g. `env`; all of them for a new app. */
  changes: z.array(z.string()),
  /** Number of the revision that the app would be of. */
  revision: z.number().int(),
  /** That revision does not exist yet. */
  newRevision: z.boolean(),
  /** Strategy of the rollout that would begin; null when none would. */
  rollout: z.enum(['rolling', 'canary', 'blue-green']).nullable(),
  /** What would happen, step by step, in words. */
  steps: z.array(z.string()),
});
export type AppPlan = z.infer<typeof appPlanSchema>;

export const revisionSchema = z.object({
  id: idOf('revision'),
  app: idOf('app'),
  number: z.number().int(),
  bundle: z.string().nullable(),
  command: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  /** Version of each secret that its instances get, by name. */
  secrets: z.record(z.string(), z.number().int()),
  current: z.boolean(),
  createdAt: timeField,
});
export type Revision = z.infer<typeof revisionSchema>;

export const nodeStates = ['ready', 'suspect', 'lost'] as const;
export const nodeIntakes = ['open', 'cordoned', 'draining'] as const;
export const nodeSchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(nodeStates),
  /** What an operator wants: `cordoned` takes nothing new, and what runs on `draining` is moved elsewhere. */
  intake: z.enum(nodeIntakes),
  labels: z.record(z.string(), z.string()),
  reason: z.string(),
  agentVersion: z.string(),
  capacity: resourcesSchema,
  used: z.object({ cpuMillis: z.number(), memoryBytes: z.number(), instances: z.number().int() }),
  version: z.number().int(),
  lastSeenAt: timeField,
  createdAt: timeField,
});
export type Node = z.infer<typeof nodeSchema>;
