import { Injectable } from '@nestjs/common';
import { Log, Metrics } from '@alto/platform';
import { Counter, Histogram } from 'prom-client';

/** Counts and times requests by operation: names from contracts, so that no caller can make new series. */
@Injectable()
export class RequestLog {
  private readonly duration: Histogram<'operation' | 'status'>;
  private readonly streamed: Counter<'direction'>;

  constructor(
    private readonly log: Log,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.duration = new Histogram({
      name: 'alto_gateway_request_duration_seconds',
      help: 'Time to answer a request, to the last byte, by operation and status; unrouted ones are "none"',
      labelNames: ['operation', 'status'] as const,
      buckets: [0.002, 0.005, 0.01, 0.05, 0.2, 1, 5, 30],
      registers,
    });
    this.streamed = new Counter({
      name: 'alto_gateway_streamed_bytes_total',
      help: 'Bytes of uploads and downloads that passed through',
      labelNames: ['direction'] as const,
      registers,
    });
  }

  answered(operation: string, status: number, elapsedMs: number, fields: Record<string, unknown>): void {
    this.duration.observe({ operation, status: String(status) }, elapsedMs / 1000);
    const facts = { operation, status, elapsedMs: Math.round(elapsedMs), ...fields };
    if (status >= 500) this.log.warn('Could not answer', facts);
    else this.log.debug('Answered', facts);
  }

  passed(direction: 'upload' | 'download', bytes: number): void {
    this.streamed.inc({ direction }, bytes);
  }
}
