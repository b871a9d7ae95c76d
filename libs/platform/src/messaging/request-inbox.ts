/**
 * Requests and their answers over one subscription: each request gets a subject of its own under the inbox.
 * The client library's `request` does the same with a promise race, two timers and a stack trace for each request;
 * here it is a map entry and one timer.
 */
import { type Msg, type MsgHdrs, type NatsConnection, nuid } from '@nats-io/transport-node';
import type { SendQueue } from './send-queue';

/** The request reached nobody: it can be tried again whatever it is. */
export class NotDelivered extends Error {}
/** Nobody listens on the subject: the server says so at once. */
export class NoResponders extends NotDelivered {}
/** The connection was lost meanwhile: the request may or may not have been served. */
export class ConnectionLost extends Error {}
/** The service's permissions do not let it publish on the subject. */
export class NotPermitted extends Error {}
/** No answer in time: the request may or may not have been served. */
export class NoAnswer extends Error {}

interface Waiting {
  readonly subject: string;
  readonly resolve: (message: Msg) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class RequestInbox {
  private readonly waiting = new Map<string, Waiting>();
  private readonly prefix: string;
  private count = 0;

  constructor(
    inboxPrefix: string,
    private readonly queue: SendQueue,
  ) {
    this.prefix = `${inboxPrefix}.${nuid.next()}.`;
  }

  get size(): number {
    return this.waiting.size;
  }

  /** Subscribes on a connection object; call it once for each. */
  attach(connection: NatsConnection): void {
    connection.subscribe(`${this.prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.receive(message);
      },
    });
  }

  /** @throws NotDelivered | NotPermitted | ConnectionLost | NoAnswer, or what the client library throws for a message it cannot send. */
  request(
    connection: NatsConnection,
    subject: string,
    payload: string,
    headers: MsgHdrs,
    timeoutMs: number,
  ): Promise<Msg> {
    const token = (this.count++).toString(36);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.take(token)?.reject(new NoAnswer()), timeoutMs);
      this.waiting.set(token, { subject, resolve, reject, timer });
      const options = { reply: this.prefix + token, headers };
      this.queue.send(connection, subject, payload, options, (error) => {
        this.take(token)?.reject(connection.isClosed() ? new NotDelivered() : error);
      });
    });
  }

  /** The answers to what is under way can no longer arrive. */
  connectionLost(): void {
    const error = new ConnectionLost();
    for (const token of this.waiting.keys()) this.take(token)?.reject(error);
  }

  /** NATS has refused a message on the subject: it does not say which. */
  notPermitted(subject: string): void {
    for (const [token, waiting] of this.waiting) {
      if (waiting.subject === subject) this.take(token)?.reject(new NotPermitted());
    }
  }

  private receive(message: Msg): void {
    const waiting = this.take(message.subject.slice(this.prefix.length));
    if (waiting === undefined) return;
    if (message.data.length === 0 && message.headers?.code === 503) waiting.reject(new NoResponders());
    else waiting.resolve(message);
  }

  private take(token: string): Waiting | undefined {
    const waiting = this.waiting.get(token);
    if (waiting === undefined) return undefined;
    this.waiting.delete(token);
    clearTimeout(waiting.timer);
    return waiting;
  }
}
