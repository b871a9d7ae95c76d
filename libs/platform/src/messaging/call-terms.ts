/** On which terms a request is made, beside its input: under a condition, as a trial, once. */
import { AltoError, callHeaders } from '@alto/contracts';

export interface CallTerms {
  /** The resource must have one of these versions; `*`: it must exist. */
  readonly ifMatch?: readonly number[] | '*' | undefined;
  /** `*`: it must not exist yet. */
  readonly ifNoneMatch?: '*' | undefined;
  /** Answer as if it were done, and change nothing. */
  readonly dryRun?: boolean | undefined;
  /** 64 hex digits that name the request over its repetitions. */
  readonly onceKey?: string | undefined;
}

export const noTerms: CallTerms = {};

const versionsMax = 20;

export function hasTerms({ ifMatch, ifNoneMatch, dryRun, onceKey }: CallTerms): boolean {
  return ifMatch !== undefined || ifNoneMatch !== undefined || dryRun === true || onceKey !== undefined;
}

export function hasCondition({ ifMatch, ifNoneMatch }: CallTerms): boolean {
  return ifMatch !== undefined || ifNoneMatch !== undefined;
}

/** Header lines, each with its end; none for a request without terms, as nearly all are. */
export function encodeTerms(terms: CallTerms = noTerms): string {
  return Object.entries(termHeaders(terms))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}

export function termHeaders({ ifMatch, ifNoneMatch, dryRun, onceKey }: CallTerms): Record<string, string> {
  return {
    ...(ifMatch !== undefined && { [callHeaders.ifMatch]: ifMatch === '*' ? '*' : ifMatch.join(',') }),
    ...(ifNoneMatch !== undefined && { [callHeaders.ifNoneMatch]: ifNoneMatch }),
    ...(dryRun === true && { [callHeaders.dryRun]: 'true' }),
    ...(onceKey !== undefined && { [callHeaders.onceKey]: onceKey }),
  };
}

/**
 * Terms may not be left out because they cannot be read, as other headers are: the request would do more than its
 * sender asked for. @throws AltoError invalid_request
 */
export function readTerms(header: (name: string) => string | undefined): CallTerms {
  const [ifMatch, ifNoneMatch, dryRun, onceKey] = [
    callHeaders.ifMatch,
    callHeaders.ifNoneMatch,
    callHeaders.dryRun,
    callHeaders.onceKey,
  ].map((name) => header(name) || undefined);
  if (ifMatch === undefined && ifNoneMatch === undefined && dryRun === undefined && onceKey === undefined)
    return noTerms;
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw unreadable(callHeaders.ifNoneMatch);
  if (dryRun !== undefined && dryRun !== 'true') throw unreadable(callHeaders.dryRun);
  if (onceKey !== undefined && !/^[0-9a-f]{64}$/.test(onceKey)) throw unreadable(callHeaders.onceKey);
  return { ifMatch: readVersions(ifMatch), ifNoneMatch, dryRun: dryRun === 'true', onceKey };
}

function readVersions(text: string | undefined): CallTerms['ifMatch'] {
  if (text === undefined || text === '*') return text;
  const versions = text.split(',');
  if (versions.length > versionsMax || !versions.every((version) => /^\d{1,15}$/.test(version)))
    throw unreadable(callHeaders.ifMatch);
  return versions.map(Number);
}

function unreadable(field: string): AltoError {
  return new AltoError('invalid_request', { message: `${field}: cannot be read`, field });
}
