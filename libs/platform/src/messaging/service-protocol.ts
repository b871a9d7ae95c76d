/**
 * The NATS services protocol (ADR-32): `$SRV.PING|INFO|STATS`, so that `nats micro ls|info|stats` list Alto's services.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
 */
import type { Operation } from '@alto/contracts';
import type { Msg, NatsConnection } from '@nats-io/transport-node';

export interface OperationStats {
  requests: number;
  errors: number;
  lastError: string;
  processingMs: number;
}

export function newOperationStats(): OperationStats {
  return { requests: 0, errors: 0, lastError: '', processingMs: 0 };
}

export function recordServed(stats: OperationStats, elapsedMs: number, error: string | undefined): void {
  stats.requests++;
  stats.processingMs += elapsedMs;
  if (error === undefined) return;
  stats.errors++;
  stats.lastError = error;
}

export interface ServiceIdentity {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
}

interface ServedOperation {
  readonly operation: Operation;
  readonly subject: string;
  readonly stats: OperationStats;
}

/** Answers on a connection object; `served` and `metadata` are asked at each request. */
export function answerServiceProtocol(
  connection: NatsConnection,
  identity: ServiceIdentity,
  served: () => readonly ServedOperation[],
  metadata: () => Readonly<Record<string, string>>,
): void {
  const started = new Date().toISOString();
  const who = () => ({
    name: identity.service,
    id: identity.instance,
    version: identity.version,
    metadata: metadata(),
  });
  const answers: Record<string, () => object> = {
    PING: () => ({ type: 'io.nats.micro.v1.ping_response', ...who() }),
    INFO: () => ({
      type: 'io.nats.micro.v1.info_response',
      ...who(),
      description: `Alto ${identity.service}`,
      endpoints: served().map((one) => endpointInfo(one, identity.service)),
    }),
    STATS: () => ({
      type: 'io.nats.micro.v1.stats_response',
      ...who(),
      started,
      endpoints: served().map((one) => ({ ...endpointInfo(one, identity.service), ...endpointStats(one.stats) })),
    }),
  };
  for (const [verb, answer] of Object.entries(answers)) {
    const callback = (error: Error | null, message: Msg) => {
      if (error === null) message.respond(JSON.stringify(answer()));
    };
    for (const suffix of ['', `.${identity.service}`, `.${identity.service}.${identity.instance}`]) {
      connection.subscribe(`$SRV.${verb}${suffix}`, { callback });
    }
  }
}

function endpointInfo({ operation, subject }: ServedOperation, queueGroup: string): object {
  const { noun, verb, version, summary, permission } = operation;
  return {
    name: `${noun}-${verb}-v${version}`,
    subject,
    queue_group: queueGroup,
    metadata: { operation: operation.name, summary, permission },
  };
}

/** Times in nanoseconds, as the protocol has them. */
function endpointStats({ requests, errors, lastError, processingMs }: OperationStats): object {
  return {
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: Math.round(processingMs * 1e6),
    average_processing_time: requests === 0 ? 0 : Math.round((processingMs / requests) * 1e6),
  };
}
