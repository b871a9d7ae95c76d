/** Errors for people: what went wrong, and what to do next. */
import { AltoError, toProblem } from '@alto/contracts';
import type { Output } from './output';

export const exitCodes = { failed: 1, usage: 2, refused: 3, notFound: 4, unavailable: 5, interrupted: 130 } as const;

/** A failure that this command found by itself. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    message: string,
    readonly nextStep?: string,
    readonly exitCode: number = exitCodes.failed,
  ) {
    super(message);
  }
}

/** Prints the error. @returns the exit code. */
export function explain(error: unknown, output: Output): number {
  if (error instanceof AltoError) {
    output.failure(toProblem(error), [describe(error), nextStepOf(error)]);
    return exitCodeOf(error);
  }
  if (error instanceof CommandError) {
    output.failure({ detail: error.message, nextStep: error.nextStep }, [error.message, error.nextStep]);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  output.failure({ detail: text }, [`Something in this command failed: ${text}`]);
  return exitCodes.failed;
}

function describe(error: AltoError): string {
  const trace = error.traceId === undefined ? '' : ` (trace ${error.traceId})`;
  return `${error.message}${error.code === 'internal' ? trace : ''}`;
}

function nextStepOf({ code, nextStep }: AltoError): string | undefined {
  if (nextStep !== undefined) return nextStep;
  if (code === 'unauthenticated') return 'Log in with `alto login --url <url> --key <key>`.';
  if (code === 'forbidden') return 'Ask an admin of the project for a key with a larger role.';
  if (code === 'not_found') return '`alto apps`, `alto routes` and `alto projects` show what there is.';
  if (code === 'service_unavailable') return '`alto status` and `alto doctor` say what is down.';
  return undefined;
}

function exitCodeOf({ code }: AltoError): number {
  if (code === 'unauthenticated' || code === 'forbidden') return exitCodes.refused;
  if (code === 'not_found') return exitCodes.notFound;
  if (code === 'service_unavailable' || code === 'timeout' || code === 'overloaded') return exitCodes.unavailable;
  return exitCodes.failed;
}
