/** Compares a resource with the condition of the call being served. */
import { AltoError } from '@alto/contracts';
import { currentCall } from './call-context';
import type { CallTerms } from './call-terms';

/**
 * Call it in the transaction that has locked the resource, before anything is changed.
 * @param current the resource as it stands; undefined when there is none
 * @throws AltoError precondition_failed
 */
export function checkPrecondition(current: { readonly version: number } | null | undefined): void {
  const call = currentCall();
  if (call === undefined) return;
  call.judged();
  const failure = failureOf(call.terms, current?.version);
  if (failure !== undefined) throw failure;
}

function failureOf({ ifMatch, ifNoneMatch }: CallTerms, version: number | undefined): AltoError | undefined {
  if (ifNoneMatch !== undefined && version !== undefined) {
    return new AltoError('precondition_failed', {
      message: `The resource exists already, as version ${version}.`,
      field: 'If-None-Match',
      nextStep: 'Leave out If-None-Match to change it.',
      details: { version },
    });
  }
  if (ifMatch === undefined || (version !== undefined && (ifMatch === '*' || ifMatch.includes(version)))) {
    return undefined;
  }
  if (version === undefined) {
    return new AltoError('precondition_failed', {
      message: 'The resource does not exist.',
      field: 'If-Match',
      nextStep: 'Leave out If-Match to create it.',
    });
  }
  return new AltoError('precondition_failed', {
    message: `The resource has changed meanwhile: it is at version ${version}.`,
    field: 'If-Match',
    nextStep: `Read it again and, if the change is still wanted, send it with If-Match: "${version}".`,
    details: { version },
  });
}
