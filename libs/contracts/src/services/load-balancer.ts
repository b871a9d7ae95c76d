import { z } from 'zod';
import { event } from '../event';
import { nameField, pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation } from '../operation';

const hostField = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*)$/,
    "must be a lower-case host name without a port, or '*' for any host",
  )
  .describe("Host name that leads to the app; '*' takes every host that nothing else matches");

export const targetSchema = z.object({
  instance: z.string(),
  address: z.string(),
  state: z.enum(['ready', 'draining', 'out']),
  reason: z.string(),
});

export const routeSchema = z.object({
  id: idOf('route'),
  project: idOf('project'),
  name: nameField,
  host: z.string(),
  app: nameField,
  version: z.number().int(),
  status: z.object({
    state: z.enum(['serving', 'no_targets', 'unknown_app']),
    reason: z.string(),
    targets: z.array(targetSchema).max(1_000),
  }),
  createdAt: timeField,
  updatedAt: timeField,
});
export type Route = z.infer<typeof routeSchema>;

const routeAddress = { project: projectField, route: nameField };

export const loadBalancerOperations = {
  routes: {
    put: operation({
      service: 'load-balancer',
      noun: 'routes',
      verb: 'put',
      version: 1,
      summary: 'Lead a host name to an app',
      http: { method: 'PUT', path: '/v1/projects/{project}/routes/{route}' },
      permission: 'routes.write',
      callers: ['gateway'],
      input: z.strictObject({ ...routeAddress, host: hostField, app: nameField }),
      output: routeSchema,
      errors: ['already_exists', 'quota_exceeded'],
      idempotent: true,
    }),
    get: operation({
      service: 'load-balancer',
      noun: 'routes',
      verb: 'get',
      version: 1,
      summary: 'Show a route and why each of its targets serves or does not',
      http: { method: 'GET', path: '/v1/projects/{project}/routes/{route}' },
      permission: 'routes.read',
      callers: ['gateway'],
      input: z.strictObject(routeAddress),
      output: routeSchema,
      errors: [],
      idempotent: true,
    }),
    list: operation({
      service: 'load-balancer',
      noun: 'routes',
      verb: 'list',
      version: 1,
      summary: 'List the routes of a project',
      http: { method: 'GET', path: '/v1/projects/{project}/routes' },
      permission: 'routes.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, ...pageRequest }),
      output: pageOf(routeSchema),
      errors: [],
      idempotent: true,
    }),
    delete: operation({
      service: 'load-balancer',
      noun: 'routes',
      verb: 'delete',
      version: 1,
      summary: 'Delete a route; its host leads nowhere at once',
      http: { method: 'DELETE', path: '/v1/projects/{project}/routes/{route}' },
      permission: 'routes.write',
      callers: ['gateway'],
      input: z.strictObject(routeAddress),
      output: routeSchema,
      errors: [],
      idempotent: true,
    }),
  },
};

export const loadBalancerEvents = {
  routeCreated: event({
    service: 'load-balancer',
    noun: 'routes',
    verb: 'created',
    version: 1,
    summary: 'A route was created',
    data: routeSchema,
  }),
  routeUpdated: event({
    service: 'load-balancer',
    noun: 'routes',
    verb: 'updated',
    version: 1,
    summary: 'A route was changed',
    data: routeSchema,
  }),
  routeDeleted: event({
    service: 'load-balancer',
    noun: 'routes',
    verb: 'deleted',
    version: 1,
    summary: 'A route was deleted',
    data: routeSchema,
  }),
};
