/** OpenTelemetry traces, sent only where a collector is configured: the SDK is not even loaded elsewhere. */
import type { ServiceConfig } from './config';

/** Starts sending traces. @returns a function that sends what is left and stops */
export async function startTracing(service: string, config: ServiceConfig): Promise<() => Promise<void>> {
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return async () => {};
  const [{ NodeTracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
  const exporter = new OTLPTraceExporter({
    url: new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href,
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.version': config.ALTO_SERVICE_VERSION,
      'service.instance.id': config.ALTO_SERVICE_INSTANCE,
    }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  return async () => provider.shutdown();
}
