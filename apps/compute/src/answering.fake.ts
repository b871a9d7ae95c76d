/** Another service, played by a test: it answers one operation on real NATS as it is told. */
import {
  AltoError,
  callHeaders,
  type Operation,
  type OutputOf,
  type RequestOf,
  subjectOf,
  toProblem,
} from '@alto/contracts';
import { connect, headers } from '@nats-io/transport-node';

export interface Answering {
  stop(): Promise<void>;
}

/** @param answer throws an AltoError to answer with it */
export async function answering<O extends Operation>(
  url: string,
  operation: O,
  answer: (input: RequestOf<O>) => OutputOf<O>,
  instance?: string,
): Promise<Answering> {
  const connection = await connect({ servers: url });
  connection.subscribe(subjectOf(operation, instance), {
    callback: (_error, message) => {
      try {
        message.respond(JSON.stringify(answer(message.json())));
      } catch (error) {
        if (!(error instanceof AltoError)) throw error;
        const failed = headers();
        failed.set(callHeaders.error, error.code);
        message.respond(JSON.stringify(toProblem(error)), { headers: failed });
      }
    },
  });
  await connection.flush();
  return { stop: () => connection.drain() };
}
