/** Answers of failed requests: `application/problem+json` (RFC 9457) with the headers that go with each status. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AltoError, toProblem } from '@alto/contracts';

/** Where the error does not say. */
const retryAfterSecondsDefault = 1;

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export function jsonAnswer(status: number, body: string, entityTag: string | undefined): Answer {
  return {
    status: body === '' ? 204 : status,
    headers: {
      'content-type': 'application/json',
      ...securityHeaders,
      ...(entityTag !== undefined && { etag: entityTag }),
    },
    body,
  };
}

export function problemAnswer(error: AltoError, traceId: string): Answer {
  const problem = toProblem(error, error.traceId ?? traceId);
  return {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json', ...securityHeaders, ...headersFor(error) },
    body: JSON.stringify(problem),
  };
}

/** For answers of the API, which no page is meant to embed or run. */
export const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/**
 * Answers on the raw response, where nothing else was sent yet; else ends the connection, which is all that is left.
 * @param upload whose client is waited for until it has read the answer
 */
export function sendProblem(
  response: ServerResponse,
  { status, headers, body }: Answer,
  upload?: IncomingMessage,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  if (upload === undefined) return void response.end(body);
  response.write(body);
  endUpload(upload, response);
}

const lingering = { idleMs: 2_000, mostMs: 10_000 };

/**
 * Ends a whole answer. What a client still sends then is thrown away for a while: a connection that closes under it is
 * reset, mostly before the client has read why. One that was too slow has had its time; one that has gone needs none.
 */
export function endUpload(request: IncomingMessage, response: ServerResponse): void {
  if (!hasUnreadBody(request) || request.destroyed || response.statusCode === 408) return void response.end();
  const end = () => {
    clearTimeout(idle);
    clearTimeout(most);
    clearImmediate(ending);
    response.end();
  };
  let ending: NodeJS.Immediate | undefined;
  // After a standstill of this process: what has come in meanwhile is read first.
  const idle = setTimeout(() => (ending = setImmediate(end)), lingering.idleMs);
  const most = setTimeout(end, lingering.mostMs);
  request.on('data', () => {
    clearImmediate(ending);
    idle.refresh();
  });
  request.once('end', end).once('close', end);
}

/** The rest of a body that nobody will read is not worth the connection: such an answer closes it. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  const announced = request.headers['content-length'] ?? '0';
  return !request.complete && (announced !== '0' || request.headers['transfer-encoding'] !== undefined);
}

function headersFor(error: AltoError): Record<string, string> {
  if (error.status === 401) return { 'www-authenticate': 'Bearer realm="alto"' };
  if (error.status === 405) return { allow: String(error.details?.['allowed'] ?? '') };
  if (!error.retryable) return {};
  const seconds = error.details?.['retryAfterSeconds'];
  return { 'retry-after': String(typeof seconds === 'number' ? seconds : retryAfterSecondsDefault) };
}
