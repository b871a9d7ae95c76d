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

const pathField = z
  .string()
  .max(200)
  .regex(
    /^\/([A-Za-z0-9._~!$&()*+,=:@%-]+(\/[A-Za-z0-9._~!$&()*+,=:@%-]+)*\/?)?$/,
    "must begin with '/' and have no empty segment, query or space",
  )
  .overwrite((path) => (path === '/' ? path : path.replace(/\/$/, '')))
  .describe('Beginning of the path, by whole segments, as the client sends it; of several routes the longest wins');

const shareSchema = z.strictObject({
  app: nameField,
  weight: z.number().int().min(0).max(1_000).describe('Share of requests against the other apps of the route'),
});

const redirectSchema = z.strictObject({
  to: z
    .string()
    .max(1_000)
    .regex(
      /^(https?:\/\/[A-Za-z0-9[]|\/(?![/\\]))[!-~]*$|^\/$/,
      'must be an http or https URL, or a path of the same host',
    )
    .describe('URL, or a path of the same host'),
  status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]).default(308),
  keepPath: z.boolean().default(false).describe("Puts the request's path and query behind `to`"),
});

const headerName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'must be a header name of letters, digits and hyphens')
  .toLowerCase();
const headerChangesSchema = z.strictObject({
  set: z
    .record(
      headerName,
      z
        .string()
        .max(512)
        .regex(/^[!-~]([ -~]*[!-~])?$/, 'must be visible ASCII'),
    )
    .refine((headers) => Object.keys(headers).length <= 16, 'must hold 16 headers at most')
    .default({})
    .describe('Header name → value; replaces what was there'),
  remove: z.array(headerName).max(16).default([]),
});
const headerRulesSchema = z.strictObject({
  request: headerChangesSchema.prefault({}).describe('Before the app sees the request'),
  response: headerChangesSchema.prefault({}).describe('Before the client sees the answer of the app'),
});

export const routeSharesMax = 8;

/** What a route does; exactly one of `app`, `apps` and `redirect` is given. */
const leadFields = {
  app: nameField.optional().describe('App that answers'),
  apps: z.array(shareSchema).min(1).max(routeSharesMax).optional().describe('Several apps by their weights'),
  redirect: redirectSchema.optional().describe('Sends clients elsewhere instead'),
  headers: headerRulesSchema.optional().describe('Headers that are set or removed on the way'),
};

export const targetSchema = z.object({
  instance: z.string(),
  app: nameField.optional(),
  address: z.string(),
  state: z.enum(['ready', 'draining', 'out']),
  reason: z.string(),
});

export const routeSchema = z.object({
  id: idOf('route'),
  project: idOf('project'),
  name: nameField,
  host: z.string(),
  path: z.string(),
  ...leadFields,
  version: z.number().int(),
  status: z.object({
    state: z.enum(['serving', 'redirecting', 'no_targets', 'unknown_app']),
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
      summary: 'Lead a host name, or paths of it, to an app, to several by weight, or elsewhere',
      http: { method: 'PUT', path: '/v1/projects/{project}/routes/{route}' },
      permission: 'routes.write',
      callers: ['gateway'],
      input: z.strictObject({ ...routeAddress, host: hostField, path: pathField.default('/'), ...leadFields }),
      output: routeSchema,
      errors: ['already_exists', 'quota_exceeded'],
      idempotent: true,
      precondition: 'optional',
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
      precondition: 'optional',
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
