/** Replies: a success is the output alone; an error is a problem (RFC 9457) with its code in a header. */
import { AltoError, callHeaders, toProblem } from '@alto/contracts';
import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import type { SendQueue } from './send-queue';
import { traceIdOf } from './trace-context';

/** Answers the requests that came over one connection. */
export class Replies {
  /** @param failed told of a reply that could not be sent. */
  constructor(
    private readonly connection: NatsConnection,
    private readonly queue: SendQueue,
    private readonly failed: (subject: string, error: Error) => void,
  ) {}

  output(message: Msg, output: string): void {
    const { reply } = message;
    if (!reply) return;
    this.queue.send(this.connection, reply, output, {}, (error) => {
      this.failed(message.subject, error);
      // Most likely larger than NATS lets through: the caller hears of it instead of waiting for its time to be over.
      this.error(message, new AltoError('internal', 'The answer could not be sent: it is too large.'), undefined);
    });
  }

  /** Says what NATS says where nobody listens: the request was certainly not served, whoever still waits tries again. */
  notTaken({ reply, subject }: Msg): void {
    if (!reply) return;
    const options = { headers: headers(503, 'No Responders') };
    this.queue.send(this.connection, reply, '', options, (cause) => this.failed(subject, cause));
  }

  error(message: Msg, error: AltoError, traceparent: string | undefined): void {
    const { reply } = message;
    if (!reply) return;
    const replyHeaders = headers();
    replyHeaders.set(callHeaders.error, error.code);
    // The trace of the service that failed first tells most.
    const traceId = error.traceId ?? (traceparent === undefined ? undefined : traceIdOf(traceparent));
    const body = JSON.stringify(toProblem(error, traceId));
    this.queue.send(this.connection, reply, body, { headers: replyHeaders }, (cause) =>
      this.failed(message.subject, cause),
    );
  }
}
