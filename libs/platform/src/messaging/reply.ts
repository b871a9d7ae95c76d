/** Error replies: a problem (RFC 9457) as the body, and its code in a header, which a success never has. */
import { type AltoError, callHeaders, toProblem } from '@alto/contracts';
import { headers, type Msg } from '@nats-io/transport-node';
import { traceIdOf } from './trace-context';

export function respondError(message: Msg, error: AltoError, traceparent: string | undefined): void {
  const replyHeaders = headers();
  replyHeaders.set(callHeaders.error, error.code);
  // The trace of the service that failed first tells most.
  const traceId = error.traceId ?? (traceparent === undefined ? undefined : traceIdOf(traceparent));
  message.respond(JSON.stringify(toProblem(error, traceId)), { headers: replyHeaders });
}
