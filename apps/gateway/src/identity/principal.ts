/** Who an API key belongs to, and what that lets it do: pure. */
import {
  type Caller,
  type ProjectLimits,
  type RequiredPermission,
  type Role,
  AltoError,
  callerMay,
} from '@alto/contracts';
import { notPermitted } from '@alto/platform';

export interface ProjectName {
  id: string;
  name: string;
  /** What it may have at most; undefined where nothing is limited. */
  quotas?: ProjectLimits | undefined;
}

export interface Principal {
  keyId: string;
  keyName: string;
  role: Role;
  /** What the key is narrowed to; undefined for all that its role may. */
  scopes?: readonly string[] | undefined;
  /** Null for an operator: it belongs to the whole cluster. */
  project: ProjectName | null;
}

/**
 * The project that a key of one project means by a name or id: its own or none. Decided without looking anything up,
 * so that neither the answer nor its time tells whether another project exists.
 */
export function ownProject(principal: Principal, nameOrId: string): ProjectName {
  const own = principal.project;
  if (own && (own.id === nameOrId || own.name === nameOrId)) return own;
  throw unknownProject();
}

/** One answer for a project that is not there and for one that the key may not enter. */
export function unknownProject(): AltoError {
  return new AltoError('not_found', {
    message: 'There is no such project.',
    field: 'project',
    nextStep: 'GET /v1/projects lists the projects that this key can see.',
  });
}

/** @throws AltoError forbidden. A permission that this gateway does not know is granted to nobody. */
export function requirePermission(principal: Principal, permission: string): void {
  const { role, scopes } = principal;
  if (callerMay({ role, scopes: scopes && [...scopes] }, permission as RequiredPermission)) return;
  throw notPermitted(principal, permission);
}

/** What the services are told of the request. */
export function callerOf(principal: Principal, project: ProjectName | null): Caller {
  return {
    id: principal.keyId,
    role: principal.role,
    project: project?.id ?? null,
    projectName: project?.name ?? null,
    ...(project?.quotas !== undefined && { quotas: project.quotas }),
    ...(principal.scopes !== undefined && { scopes: [...principal.scopes] }),
  };
}
