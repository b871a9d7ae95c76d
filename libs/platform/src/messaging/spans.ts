/** OpenTelemetry spans of calls. Without a collector (`tracing` off) none of this runs: the trace id alone travels on. */
import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { isSampled, spanIdOf, traceIdOf } from './trace-context';

/** Runs the body within a span; the body gets the `traceparent` that names it. */
export async function inSpan<T>(
  kind: 'client' | 'server',
  operation: string,
  parent: string,
  body: (traceparent: string) => Promise<T>,
): Promise<T> {
  const parentContext = trace.setSpanContext(kind === 'server' ? ROOT_CONTEXT : context.active(), {
    traceId: traceIdOf(parent),
    spanId: spanIdOf(parent),
    traceFlags: isSampled(parent) ? 1 : 0,
    isRemote: kind === 'server',
  });
  const options = { kind: kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT, attributes: { 'rpc.system': 'nats' } };
  const span = trace.getTracer('alto').startSpan(operation, options, parentContext);
  try {
    return await context.with(trace.setSpan(parentContext, span), () => body(traceparentOf(span)));
  } catch (error) {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
