/**
 * Sends messages of one turn of the event loop with one write: replies and requests become ready one after the other,
 * and the client library would write each on its own. A write costs more than all else about a request.
 */
import type { NatsConnection, PublishOptions } from '@nats-io/transport-node';

interface Outgoing {
  readonly connection: NatsConnection;
  readonly subject: string;
  readonly payload: string;
  readonly options: PublishOptions;
  readonly failed: (error: Error) => void;
}

export class SendQueue {
  private waiting: Outgoing[] = [];

  /** @param failed called instead of throwing, when the message is too large or the connection closed. */
  send(
    connection: NatsConnection,
    subject: string,
    payload: string,
    options: PublishOptions,
    failed: (error: Error) => void,
  ): void {
    if (this.waiting.length === 0) setImmediate(this.flush);
    this.waiting.push({ connection, subject, payload, options, failed });
  }

  /** Hands what waits to the client library now. */
  readonly flush = (): void => {
    const ready = this.waiting;
    this.waiting = [];
    for (const { connection, subject, payload, options, failed } of ready) {
      try {
        connection.publish(subject, payload, options);
      } catch (error) {
        failed(error as Error);
      }
    }
  };
}
