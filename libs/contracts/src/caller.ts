/** Who is calling: what the gateway's short-lived token says and each service checks. */
import { z } from 'zod';
import { type RequiredPermission, roleGrants, roles, scopesGrant } from './permissions';
import { projectLimitsSchema } from './quotas';

export const callerSchema = z.object({
  /** Id of the API key. */
  id: z.string(),
  role: z.enum(roles),
  /** Project that the request is about, null where it is about the cluster. The gateway has checked the key may enter it. */
  project: z.string().nullable(),
  projectName: z.string().nullable(),
  /** Narrows what the role may do; left out, the key may do all that its role may. */
  scopes: z.array(z.string()).optional(),
  /** What the project may have at most; left out, nothing is limited. */
  quotas: projectLimitsSchema.optional(),
});
export type Caller = z.infer<typeof callerSchema>;

/** Both the role and, where the key has any, its scopes have to grant it. */
export function callerMay({ role, scopes }: Pick<Caller, 'role' | 'scopes'>, permission: RequiredPermission): boolean {
  return roleGrants(role, permission) && (scopes === undefined || scopesGrant(scopes, permission));
}

/** Headers on NATS messages and on streamed HTTP requests between services. */
export const callHeaders = {
  requestId: 'Alto-Request-Id',
  trace: 'traceparent',
  /** Milliseconds that are left, relative so that clocks need not agree. */
  budget: 'Alto-Budget-Ms',
  caller: 'Alto-Caller',
  /** Versions, separated by commas, of which the resource must have one; `*` is any. */
  ifMatch: 'Alto-If-Match',
  /** `*`: the resource must not exist yet. */
  ifNoneMatch: 'Alto-If-None-Match',
  /** `true`: answer as if it were done, and change nothing. */
  dryRun: 'Alto-Dry-Run',
  /** Names the request over its repetitions and opens its kept answer: a secret between gateway and service. */
  onceKey: 'Alto-Once',
  error: 'Alto-Error',
} as const;
