import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { inSpan } from './spans';
import { isSampled, newTraceparent, spanIdOf, traceIdOf } from './trace-context';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

beforeAll(() => provider.register());
beforeEach(() => exporter.reset());
afterAll(() => provider.shutdown());

it('a call and its serving are spans of one trace, one within the other', async () => {
  const root = newTraceparent(true);
  let sent = '';
  await inSpan('client', 'compute.apps.get', root, async (traceparent) => {
    sent = traceparent;
    await inSpan('server', 'compute.apps.get', traceparent, async (own) => expect(isSampled(own)).toBe(true));
  });
  const [server, client] = exporter.getFinishedSpans();
  expect(client?.spanContext().traceId).toBe(traceIdOf(root));
  expect(client?.parentSpanContext?.spanId).toBe(spanIdOf(root));
  expect(server?.spanContext().traceId).toBe(traceIdOf(root));
  expect(server?.parentSpanContext?.spanId).toBe(spanIdOf(sent));
});

it('an error ends the span and is marked on it', async () => {
  const failing = inSpan('server', 'compute.apps.get', newTraceparent(true), () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(exporter.getFinishedSpans()[0]?.status.code).toBe(2);
});

it('what is not sampled is not recorded', async () => {
  await inSpan('server', 'compute.apps.get', newTraceparent(), async () => undefined);
  expect(exporter.getFinishedSpans()).toEqual([]);
});
