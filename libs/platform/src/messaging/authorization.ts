/** Whether a caller may do what it asks: one place for NATS handlers and for streamed HTTP routes. */
import {
  AltoError,
  type Caller,
  callerMay,
  isProjectScoped,
  type Operation,
  type RequiredPermission,
  roleGrants,
} from '@alto/contracts';
import type { CallIdentity } from './call-context';
import type { CallerTokenVerifier } from './caller-token';

/**
 * Identifies the caller and checks its permission.
 * Operations between services carry no token: NATS itself lets only their declared callers publish.
 * @param service name of the calling service, for internal operations.
 * @throws AltoError `unauthenticated` or `forbidden`
 */
export function identify(
  operation: Operation,
  token: string | undefined,
  verifier: CallerTokenVerifier,
  service: string,
): CallIdentity {
  if (operation.permission === 'internal') {
    return { kind: 'service', id: service, role: undefined, project: null, projectName: null };
  }
  const caller = verifier.verify(token);
  if (!callerMay(caller, operation.permission)) throw notPermitted(caller, operation.permission);
  return { kind: 'key', ...caller };
}

/**
 * Keeps callers within the project that their token names. Another project's id gives the same answer as an unknown
 * one, so that nothing about other projects can be learned.
 * @throws AltoError `not_found`
 */
export function checkProject(
  operation: Operation,
  caller: CallIdentity,
  input: Readonly<Record<string, unknown>>,
): void {
  if (caller.kind !== 'key' || !isAboutProject(operation)) return;
  const isClusterWide = caller.project === null && caller.role === 'operator';
  if (isClusterWide || input['project'] === caller.project) return;
  throw new AltoError('not_found', { message: 'There is no such project.', field: 'project' });
}

/** What a caller is told that lacks a permission: whether its role or its scopes are in the way. */
export function notPermitted({ role }: Pick<Caller, 'role'>, permission: string): AltoError {
  const inTheWay = roleGrants(role, permission as RequiredPermission) ? 'its scopes lack' : `its role ${role} lacks`;
  return new AltoError('forbidden', {
    message: `The key may not do this: ${inTheWay} ${permission}.`,
    nextStep: `Use a key that has ${permission}.`,
  });
}

const aboutProject = new WeakMap<Operation, boolean>();

/** Remembered: the answer is in the path template, which would be read again for every request. */
function isAboutProject(operation: Operation): boolean {
  const known = aboutProject.get(operation);
  if (known !== undefined) return known;
  const found = isProjectScoped(operation);
  aboutProject.set(operation, found);
  return found;
}

/**
 * Where a caller says who it is, NATS has let it publish as that one alone: what it sends must say the same.
 * @throws AltoError `forbidden`
 */
export function checkCallerField(operation: Operation, subject: string, input: unknown): void {
  const { callerField } = operation;
  if (callerField === undefined) return;
  const caller = subject.slice(operation.subject.length + 1);
  const named = (input as Record<string, unknown>)[callerField];
  if (caller === named) return;
  throw new AltoError('forbidden', {
    message: `${callerField}: ${caller} cannot speak for ${String(named)}.`,
    field: callerField,
  });
}
