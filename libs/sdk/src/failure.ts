/** Makes an AltoError of everything that can go wrong between a client and the API. */
import { AltoError, fromProblem } from '@alto/contracts';

/** Reads the error of an answer that is not a success; whatever stands in front of Alto may have made it. */
export async function failureOf(response: Response): Promise<AltoError> {
  const error = response.headers.get('content-type')?.includes('application/problem+json')
    ? fromProblem(await response.json().catch(() => undefined))
    : foreignFailure(response.status, await response.text().catch(() => ''));
  const seconds = Number(response.headers.get('retry-after'));
  if (!(seconds > 0)) return error;
  const { code, message, field, nextStep, details, traceId } = error;
  const withPause = new AltoError(code, {
    message,
    field,
    nextStep,
    details: { ...details, retryAfterMs: seconds * 1000 },
  });
  if (traceId !== undefined) withPause.traceId = traceId;
  return withPause;
}

/** @param signal the one that the request was made with: tells a time-out or a cancelled call from a lost connection. */
export function connectionFailure(error: unknown, baseUrl: string, signal: AbortSignal): unknown {
  if (error instanceof AltoError) return error;
  if (signal.aborted) return isTimeout(signal.reason) ? timedOut(baseUrl) : signal.reason;
  const why = messageOf((error as { cause?: unknown } | undefined)?.cause) ?? messageOf(error) ?? String(error);
  return new AltoError(
    'service_unavailable',
    {
      message: `Alto cannot be reached at ${baseUrl}: ${why}`,
      nextStep: 'Check the address, and that Alto is running there (`alto status` on that machine).',
    },
    { cause: error },
  );
}

function foreignFailure(status: number, text: string): AltoError {
  const code = status === 502 || status === 503 ? 'service_unavailable' : '';
  const detail = `The answer was HTTP ${status} from something that is not Alto's API: ${text.slice(0, 200)}`;
  return fromProblem({ type: 'about:blank', title: '', status, detail, code });
}

function timedOut(baseUrl: string): AltoError {
  return new AltoError('timeout', {
    message: `Alto at ${baseUrl} did not answer in time.`,
    nextStep: 'Try again, or give the call more time.',
  });
}

function messageOf(error: unknown): string | undefined {
  const message = (error as { message?: unknown } | undefined)?.message;
  return typeof message === 'string' && message !== '' ? message : undefined;
}

/** By name: a reason may come from another realm, where it is no instance of this one's classes. */
function isTimeout(reason: unknown): boolean {
  return (reason as { name?: unknown } | undefined)?.name === 'TimeoutError';
}
