import { Inject, Injectable } from '@nestjs/common';
import { AltoError, eventSubject, gatewayOperations, invalidRequest } from '@alto/contracts';
import { CONFIG, Lifecycle, Metrics, NatsBus } from '@alto/platform';
import { Gauge } from 'prom-client';
import type { GatewayConfig } from '../config';
import type { Exchange } from '../http/exchange';
import { buildInput } from '../http/input';
import { securityHeaders } from '../http/problem';
import { Authenticator } from '../identity/authenticator';
import { pathFieldsOf } from '../routing/learned-operation';
import { openEventSource } from './event-source';
import { EventStream } from './event-stream';
import { parsePosition } from './position';

const { follow, followAll } = gatewayOperations.events;

interface OpenStream {
  keyId: string;
  stream?: EventStream;
}

/** The open event streams of this gateway, limited in number. */
@Injectable()
export class EventStreams {
  private readonly open = new Set<OpenStream>();

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly bus: NatsBus,
    private readonly authenticator: Authenticator,
    lifecycle: Lifecycle,
    metrics: Metrics,
  ) {
    lifecycle.onDrain(() => this.endAll());
    // NATS may have come back without its tail: positions are verified when the clients connect again.
    bus.onState((state) => void (state === 'connected' && this.endAll()));
    const count = () => this.open.size;
    new Gauge({
      name: 'alto_gateway_event_streams',
      help: 'Event streams (SSE) open at this gateway',
      registers: [metrics.registry],
      collect() {
        this.set(count());
      },
    });
  }

  /** Lasts as long as the stream does. @throws AltoError before the stream has begun */
  async serve({ request, reply, operation, caller, path, query }: Exchange): Promise<void> {
    const isOfProject = pathFieldsOf(operation).includes('project');
    const parsed = (isOfProject ? follow : followAll).input.safeParse(buildInput(operation, { path, query }));
    if (!parsed.success) throw invalidRequest(parsed.error);
    const subject = isOfProject ? eventSubject('>', caller.project ?? '') : 'alto.events.>';
    const position = request.headers['last-event-id'];
    const after = typeof position === 'string' && position !== '' ? parsePosition(position) : undefined;
    const slot = this.takeSlot(caller.id);
    try {
      const { connection } = this.bus;
      if (!connection)
        throw new AltoError('service_unavailable', 'The stream of events cannot be reached: NATS is away.');
      const source = await openEventSource(connection, subject, after);
      slot.stream = new EventStream(reply.raw, source, {
        heartbeatMs: this.config.ALTO_EVENT_HEARTBEAT_MS,
        stalledMs: this.config.ALTO_STREAM_IDLE_MS,
        isAllowed: () => this.isAllowed(request.headers.authorization),
      });
      reply.raw.writeHead(200, {
        ...securityHeaders,
        'content-type': 'text/event-stream; charset=utf-8',
        'x-accel-buffering': 'no',
        // The stream ends when the gateway stops, and its connection must not be used again then.
        connection: 'close',
      });
      await slot.stream.run();
    } finally {
      this.open.delete(slot);
    }
  }

  private takeSlot(keyId: string): OpenStream {
    const { ALTO_EVENT_STREAMS_MAX: max, ALTO_EVENT_STREAMS_PER_KEY_MAX: perKeyMax } = this.config;
    if (this.open.size >= max)
      throw new AltoError('overloaded', `This gateway has ${max} event streams open and takes no more.`);
    const own = [...this.open].filter((slot) => slot.keyId === keyId).length;
    if (own >= perKeyMax) {
      throw new AltoError('rate_limited', {
        message: `The key has ${perKeyMax} event streams open and may have no more.`,
        nextStep: 'Close one of them, or use another key.',
      });
    }
    const slot = { keyId };
    this.open.add(slot);
    return slot;
  }

  private async isAllowed(authorization: string | undefined): Promise<boolean> {
    try {
      await this.authenticator.authenticate(authorization);
      return true;
    } catch (error) {
      return !(error instanceof AltoError && error.code === 'unauthenticated');
    }
  }

  private async endAll(): Promise<void> {
    await Promise.all([...this.open].map(({ stream }) => stream?.end()));
  }
}
