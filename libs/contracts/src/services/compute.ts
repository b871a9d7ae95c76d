import { z } from 'zod';
import { nameField, pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation } from '../operation';
import { usageOperation } from '../quotas';
import {
  appSpecSchema,
  labelsSchema,
  replicasField,
  livenessSchema,
  portsSchema,
  readinessSchema,
  resourcesSchema,
  restartSchema,
  stopSchema,
} from './app-spec';
import {
  addressSchema,
  appPlanSchema,
  appSchema,
  furtherPortsSchema,
  instanceSchema,
  nodeSchema,
  revisionSchema,
  rolloutSchema,
} from './app-resources';
import { logPageSchema, logQuery } from './node-agent';

/** What an agent says of one instance. */
export const observedInstanceSchema = z.object({
  id: idOf('instance'),
  state: z.enum(['fetching', 'starting', 'running', 'ready', 'backoff', 'stopping', 'exited', 'failed']),
  reason: z.string().max(2_000),
  address: addressSchema.nullable(),
  /** As in `instanceSchema`. */
  ports: furtherPortsSchema,
  restarts: z.number().int(),
  exitCode: z.number().int().nullable(),
  exitSignal: z.string().nullable(),
  startedAt: timeField.nullable(),
});
export type ObservedInstance = z.infer<typeof observedInstanceSchema>;

/** What an agent is to run. `stopped` instances stay listed until the agent reports them `exited`. */
export const desiredInstanceSchema = z.object({
  id: idOf('instance'),
  project: idOf('project'),
  app: idOf('app'),
  appName: z.string(),
  revision: z.number().int(),
  want: z.enum(['running', 'stopped']),
  bundle: z.object({ id: z.string(), sha256: z.string(), sizeBytes: z.number().int() }).nullable(),
  command: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  /** Secrets that become variables when a process is started. They travel and lie sealed; null: the value is gone. */
  secretEnv: z
    .array(z.object({ name: z.string(), version: z.number().int(), sealed: z.string().nullable() }))
    .optional(),
  ports: portsSchema,
  readiness: readinessSchema,
  liveness: livenessSchema.nullable().default(null),
  restart: restartSchema.default('always'),
  resources: resourcesSchema,
  stop: stopSchema,
});
export type DesiredInstance = z.infer<typeof desiredInstanceSchema>;

export const endpointSchema = z.object({
  instance: idOf('instance'),
  ip: z.string(),
  port: z.number().int(),
  /** `draining` takes no new requests; requests in flight end in peace. */
  state: z.enum(['ready', 'draining']),
  /** Share of new requests against the other endpoints of the set, 100 unless given; 0 takes none but those that are bound to it. */
  weight: z.number().int().min(0).max(256).optional(),
});

/** Requests that a proxy has sent to an instance since it first knew it. Lower than reported before: counted anew from 0. */
export const instanceTrafficSchema = z.object({
  instance: idOf('instance'),
  requests: z.number().int().min(0),
  /** Of those: answered 5xx, answered with no valid response, or not answered since the connection failed or was cut. */
  failures: z.number().int().min(0),
});
export type InstanceTraffic = z.infer<typeof instanceTrafficSchema>;

/** All addresses that serve an app. State, not a request: the newest generation replaces the older ones. */
export const endpointSetSchema = z.object({
  app: idOf('app'),
  appName: z.string(),
  project: idOf('project'),
  projectName: z.string(),
  generation: z.number().int(),
  /** The app is gone and its routes with it. */
  deleted: z.boolean(),
  /** Of up to 1,000 replicas and the surge. */
  endpoints: z.array(endpointSchema).max(2_000),
});
export type EndpointSet = z.infer<typeof endpointSetSchema>;

const dryRunField = z
  .enum(['true', 'false'])
  .default('false')
  .describe('true changes nothing and answers with `plan`: what would happen');

const nodeField = z.string().min(1).max(200).describe('Name or id of the node');

const appAddress = { project: projectField, app: nameField };

function nodeIntake<V extends 'cordon' | 'drain' | 'uncordon'>(verb: V, summary: string) {
  return operation({
    service: 'compute',
    noun: 'nodes',
    verb,
    version: 1,
    summary,
    http: { method: 'POST', path: `/v1/nodes/{node}/${verb}` },
    permission: 'cluster.write',
    callers: ['gateway'],
    input: z.strictObject({ node: nodeField }),
    output: nodeSchema,
    errors: [],
    idempotent: true,
    precondition: 'optional',
  });
}

/** Of revisions and rollouts, which count from 1 in each app: what an integer of the database holds. */
const numberMax = 2_147_483_647;

export const computeOperations = {
  apps: {
    put: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'put',
      version: 1,
      summary: 'Create an app or change it to this specification',
      http: { method: 'PUT', path: '/v1/projects/{project}/apps/{app}', query: ['dryRun'] },
      permission: 'apps.write',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, ...appSpecSchema.shape, dryRun: dryRunField }),
      output: appSchema.extend({ plan: appPlanSchema.optional() }),
      errors: ['conflict', 'unprocessable', 'quota_exceeded'],
      idempotent: true,
      precondition: 'optional',
    }),
    get: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'get',
      version: 1,
      summary: 'Show an app and its status',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}' },
      permission: 'apps.read',
      callers: ['gateway', 'load-balancer'],
      input: z.strictObject(appAddress),
      output: appSchema,
      errors: [],
      idempotent: true,
    }),
    list: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'list',
      version: 1,
      summary: 'List the apps of a project',
      http: { method: 'GET', path: '/v1/projects/{project}/apps' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, ...pageRequest }),
      output: pageOf(appSchema),
      errors: [],
      idempotent: true,
    }),
    delete: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'delete',
      version: 1,
      summary: 'Delete an app: its instances are drained and stopped, then it is gone',
      http: { method: 'DELETE', path: '/v1/projects/{project}/apps/{app}', status: 202 },
      permission: 'apps.write',
      callers: ['gateway'],
      input: z.strictObject(appAddress),
      output: appSchema,
      errors: [],
      idempotent: true,
      precondition: 'optional',
    }),
    scale: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'scale',
      version: 1,
      summary: 'Change the number of replicas of an app and nothing else',
      http: { method: 'POST', path: '/v1/projects/{project}/apps/{app}/scale' },
      permission: 'apps.write',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, replicas: replicasField }),
      output: appSchema,
      errors: ['conflict', 'quota_exceeded'],
      idempotent: true,
      precondition: 'optional',
    }),
    restart: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'restart',
      version: 1,
      summary: 'Replace every instance of an app by a new one of the same content, as in a rollout',
      http: { method: 'POST', path: '/v1/projects/{project}/apps/{app}/restart' },
      permission: 'apps.write',
      callers: ['gateway'],
      input: z.strictObject(appAddress),
      output: appSchema,
      errors: ['conflict'],
      idempotent: false,
      precondition: 'optional',
    }),
    rollback: operation({
      service: 'compute',
      noun: 'apps',
      verb: 'rollback',
      version: 1,
      summary: 'Bring an app back to a revision; unless one is named, to the one before',
      http: { method: 'POST', path: '/v1/projects/{project}/apps/{app}/rollback' },
      permission: 'apps.write',
      callers: ['gateway'],
      input: z.strictObject({
        ...appAddress,
        to: z.number().int().min(1).max(numberMax).optional().describe('Number of a revision'),
      }),
      output: appSchema,
      errors: ['conflict', 'unprocessable', 'quota_exceeded'],
      idempotent: false,
      precondition: 'optional',
    }),
  },
  usage: { get: usageOperation('compute') },
  rollouts: {
    list: operation({
      service: 'compute',
      noun: 'rollouts',
      verb: 'list',
      version: 1,
      summary: 'List the rollouts of an app, newest first',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}/rollouts' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, ...pageRequest }),
      output: pageOf(rolloutSchema),
      errors: [],
      idempotent: true,
    }),
    get: operation({
      service: 'compute',
      noun: 'rollouts',
      verb: 'get',
      version: 1,
      summary: 'Show a rollout of an app: how far it is, or why it has failed',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}/rollouts/{rollout}' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, rollout: z.coerce.number().int().min(1).max(numberMax) }),
      output: rolloutSchema,
      errors: [],
      idempotent: true,
    }),
  },
  instances: {
    list: operation({
      service: 'compute',
      noun: 'instances',
      verb: 'list',
      version: 1,
      summary: 'List the instances of an app, with the reason for the state each is in',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}/instances' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, ...pageRequest }),
      output: pageOf(instanceSchema),
      errors: [],
      idempotent: true,
    }),
  },
  revisions: {
    list: operation({
      service: 'compute',
      noun: 'revisions',
      verb: 'list',
      version: 1,
      summary: 'List the revisions of an app, newest first',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}/revisions' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, ...pageRequest }),
      output: pageOf(revisionSchema),
      errors: [],
      idempotent: true,
    }),
  },
  logs: {
    read: operation({
      service: 'compute',
      noun: 'logs',
      verb: 'read',
      version: 1,
      summary: 'Read the last log lines of an app, or those after a cursor',
      http: { method: 'GET', path: '/v1/projects/{project}/apps/{app}/logs' },
      permission: 'apps.read',
      callers: ['gateway'],
      input: z.strictObject({ ...appAddress, instance: idOf('instance').optional(), ...logQuery }),
      output: logPageSchema,
      errors: [],
      idempotent: true,
    }),
  },
  nodes: {
    list: operation({
      service: 'compute',
      noun: 'nodes',
      verb: 'list',
      version: 1,
      summary: 'List the machines of the cluster',
      http: { method: 'GET', path: '/v1/nodes' },
      permission: 'cluster.read',
      callers: ['gateway'],
      input: z.strictObject({ ...pageRequest }),
      output: pageOf(nodeSchema),
      errors: [],
      idempotent: true,
    }),
    cordon: nodeIntake('cordon', 'Place nothing new on a machine; what runs there goes on'),
    drain: nodeIntake('drain', 'Move all instances off a machine, each only once another one serves in its place'),
    uncordon: nodeIntake('uncordon', 'Let a machine take instances again'),
    delete: operation({
      service: 'compute',
      noun: 'nodes',
      verb: 'delete',
      version: 1,
      summary: 'Delete a machine that is lost for good: what ran there is given up',
      http: { method: 'DELETE', path: '/v1/nodes/{node}' },
      permission: 'cluster.write',
      callers: ['gateway'],
      input: z.strictObject({ node: nodeField }),
      output: nodeSchema,
      errors: ['conflict'],
      idempotent: true,
      precondition: 'optional',
    }),
    sync: operation({
      service: 'compute',
      noun: 'nodes',
      verb: 'sync',
      version: 1,
      summary: 'An agent says what runs on its machine and learns what should',
      permission: 'internal',
      callers: ['node-agent'],
      input: z.object({
        node: z
          .string()
          .max(60)
          .regex(/^[A-Za-z0-9_-]+$/, 'must be letters, digits, - and _'),
        name: z.string().min(1).max(200),
        agentVersion: z.string().max(60),
        capacity: resourcesSchema,
        labels: labelsSchema.default({}),
        /** Grows with each start of the agent: its time in milliseconds. With `sequence` it orders reports, which may overtake each other. */
        incarnation: z.number().int().min(0).default(0),
        /** Reports of this incarnation: one more with each. */
        sequence: z.number().int().min(0).default(0),
        /** Highest generation that the agent has on its disk. */
        seenGeneration: z.number().int(),
        instances: z.array(observedInstanceSchema).max(2_000),
        /** Ids of the keys that open secrets there, oldest first; left out where none can be read. */
        masterKeys: z.array(z.string().max(64)).max(16).optional(),
        /** Ids of those without which what lies on its disk could not be started. */
        sealedWith: z.array(z.string().max(64)).max(100).optional(),
      }),
      output: z.object({
        /** Of this node's set; an agent refuses one lower than it has seen. */
        generation: z.number().int(),
        /** Of the reconciler's lease that made the set; an agent refuses a lower one. */
        fencingToken: z.number().int(),
        instances: z.array(desiredInstanceSchema).max(2_000),
      }),
      errors: ['stale_writer'],
      idempotent: true,
      callerField: 'node',
    }),
  },
  proxies: {
    sync: operation({
      service: 'compute',
      noun: 'proxies',
      verb: 'sync',
      version: 1,
      summary: 'A proxy says which generation it has applied and learns the endpoint sets changed since',
      permission: 'internal',
      callers: ['load-balancer'],
      input: z.object({
        proxy: z.string().min(1).max(60),
        /** 0 asks for everything. */
        appliedGeneration: z.number().int().min(0),
        /** Goes on with the list that an answer with `more` began: the generation of that answer. */
        listedTo: z.number().int().min(0).optional(),
        /**
         * Instances that are `draining`, or left the sets a moment ago, and still have requests in flight here. An empty
         * list lets compute stop them at once; left out, it waits the whole drain time.
         */
        busy: z.array(z.string().max(60)).max(5_000).optional(),
        /** How instances have answered through this proxy. A rollout whose new instances fail more often is reverted. */
        traffic: z.array(instanceTrafficSchema).max(10_000).optional(),
      }),
      output: z.object({
        /** Highest generation of the sets in this answer: what the proxy reports once they are applied. */
        generation: z.number().int(),
        /** The answer, with those whose list it ends, holds every set: what is in none of them does not exist. */
        complete: z.boolean(),
        /** A list of every set goes on: ask again with `listedTo`, and take up all of it at once. */
        more: z.boolean().optional(),
        sets: z.array(endpointSetSchema).max(500),
        /**
         * How soon compute wants to hear how instances answer, while a rollout is judged by that; left out, whenever the
         * proxy asks by itself.
         */
        reportWithinMs: z.number().int().min(100).optional(),
      }),
      errors: [],
      idempotent: true,
    }),
  },
};
