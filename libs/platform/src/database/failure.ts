/** What a failure of PostgreSQL means to callers: the SQLSTATE and socket errors that have a meaning of their own. */
import { AltoError } from '@alto/contracts';
import { QueryFailedError, QueryRunnerAlreadyReleasedError, QueryRunnerProviderAlreadyReleasedError } from 'typeorm';

/** PostgreSQL cannot be reached, or ended the connection (Appendix A of its manual, classes 08, 53, 57). */
const connectionStates = /^(08...|53300|57P01|57P02|57P03|3D000|28P01|28000)$/;
const socketErrors = new Set([
  'EACCES',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
/** The client library has no codes for these. */
const connectionMessages =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout|timeout expired|Cannot use a pool after calling end)/;
const serializationFailure = '40001';
const deadlockDetected = '40P01';
const statementCancelled = '57014';
const idleInTransaction = '25P03';
const diskFull = '53100';

interface DriverError {
  readonly message: string;
  readonly code?: string;
  readonly errors?: readonly unknown[];
}

/** The error of the client library behind one of TypeORM, known by its shape: it may come from another realm. */
export function driverError(error: unknown): DriverError | undefined {
  if (error instanceof QueryFailedError) return driverError(error.driverError);
  if (error instanceof AltoError || typeof (error as DriverError | undefined)?.message !== 'string') return undefined;
  const { message, code, errors } = error as { message: string; code?: unknown; errors?: unknown };
  return { message, ...(typeof code === 'string' && { code }), ...(Array.isArray(errors) && { errors }) };
}

/** No connection could be made, or it broke: whether a change was made is unknown when it broke at the commit. */
export function isConnectionFailure(error: unknown): boolean {
  const cause = driverError(error);
  if (cause === undefined) return false;
  // One failure for each address of a host.
  if (cause.errors !== undefined && cause.errors.some(isConnectionFailure)) return true;
  if (cause.code !== undefined && (connectionStates.test(cause.code) || socketErrors.has(cause.code))) return true;
  return connectionMessages.test(cause.message);
}

/** Concurrent transactions got in each other's way and PostgreSQL undid this one: running it again is right. */
export function isSerializationConflict(error: unknown): boolean {
  const code = driverError(error)?.code;
  return code === serializationFailure || code === deadlockDetected;
}

/** The transaction broke a unique constraint (of the given name, where one is given). For stores. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (driverError(error)?.code !== '23505') return false;
  const { driverError: cause } = error as QueryFailedError<Error & { constraint?: string }>;
  return constraint === undefined || cause.constraint === constraint;
}

/** The client gave up waiting for an answer: the connection is in an unknown state and must not be used again. */
export function isClientTimeout(error: unknown): boolean {
  return driverError(error)?.message.startsWith('Query read timeout') ?? false;
}

/** The pool gave nobody a connection in time: all of them were at work. */
function poolIsBusy(error: unknown): boolean {
  return driverError(error)?.message === 'timeout exceeded when trying to connect';
}

/** TypeORM's word for a connection that broke while a transaction was using it. */
export function isConnectionGone(error: unknown): boolean {
  return error instanceof QueryRunnerAlreadyReleasedError || error instanceof QueryRunnerProviderAlreadyReleasedError;
}

/** Turns what the database's state explains into an AltoError; any other error (a bug, a broken constraint) stays. */
export function explainFailure(error: unknown, service: string): unknown {
  if (poolIsBusy(error)) {
    return new AltoError(
      'overloaded',
      {
        message: `All connections to the database of ${service} are busy.`,
        nextStep: 'Send the request again in a moment.',
      },
      { cause: error },
    );
  }
  if (isConnectionFailure(error)) return unavailable(service, driverError(error)?.message, error);
  switch (driverError(error)?.code) {
    case statementCancelled:
    case idleInTransaction:
      return new AltoError('timeout', `The database of ${service} did not finish in time.`, { cause: error });
    case serializationFailure:
    case deadlockDetected:
      return new AltoError(
        'overloaded',
        { message: `Too many changes at once in the database of ${service}.`, nextStep: 'Send the request again.' },
        { cause: error },
      );
    case diskFull:
      return new AltoError('insufficient_storage', `The database of ${service} has no space left on its disk.`, {
        cause: error,
      });
    default:
      return error;
  }
}

/** @param reason in words, for the log of the caller; holds no secret (the client library names host and port alone). */
export function unavailable(service: string, reason: string | undefined, cause?: unknown): AltoError {
  return new AltoError(
    'service_unavailable',
    {
      message: `The database of ${service} is not available${reason === undefined ? '' : ` (${reason})`}.`,
      nextStep: 'Try again in some seconds; `alto doctor` says what is wrong with PostgreSQL.',
      details: { dependency: 'postgresql', service },
    },
    { cause },
  );
}
