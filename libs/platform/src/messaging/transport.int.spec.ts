import { Controller } from '@nestjs/common';
import { AltoError, type InputOf, newId, operation, type Operation, type OutputOf } from '@alto/contracts';
import {
  type NatsServer,
  type RunningClient,
  type RunningTransport,
  startClient,
  startNats,
  startTransport,
  transportSigner,
  type TransportOptions,
  eventually,
  runs,
} from '@alto/testing';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import fc from 'fast-check';
import { z } from 'zod';
import { type CallContext, currentCall } from './call-context';
import { Handles } from './handles';

const ambient = {
  service: 'compute',
  noun: 'apps',
  version: 1,
  summary: 'For tests',
  errors: [],
} as const;

const echo = operation({
  ...ambient,
  verb: 'echo',
  permission: 'internal',
  callers: ['storage'],
  input: z.strictObject({ text: z.string().max(100), waitMs: z.number().default(0) }),
  output: z.object({ text: z.string() }),
  idempotent: true,
});

const fail = operation({
  ...ambient,
  verb: 'fail',
  permission: 'internal',
  callers: ['storage'],
  input: z.object({ how: z.enum(['declared', 'undeclared', 'bug', 'wrong output', 'nothing']) }),
  output: z.object({ text: z.string() }).optional(),
  errors: ['conflict'],
  idempotent: false,
});

const context = operation({
  ...ambient,
  verb: 'context',
  permission: 'internal',
  callers: ['storage'],
  input: z.object({}),
  output: z.object({ remainingMs: z.number(), traceId: z.string(), requestId: z.string(), caller: z.string() }),
  idempotent: true,
});

const relay = operation({ ...context, verb: 'relay' });

const stall = operation({ ...context, verb: 'stall', output: z.object({}) });

const read = operation({
  ...ambient,
  verb: 'read',
  http: { method: 'GET', path: '/v1/projects/{project}/apps' },
  permission: 'apps.write',
  callers: ['gateway'],
  input: z.object({ project: z.string() }),
  output: z.object({ caller: z.string() }),
  idempotent: true,
});

const large = operation({
  ...echo,
  verb: 'large',
  input: z.object({ bytes: z.number() }),
});

const perInstance = operation({ ...echo, verb: 'here', perInstance: true });

let client: RunningClient;
let stalled: { abortedAfterMs: number } | undefined;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

@Controller()
class TestController {
  @Handles(echo)
  async echo({ text, waitMs }: InputOf<typeof echo>): Promise<OutputOf<typeof echo>> {
    if (waitMs > 0) await pause(waitMs);
    return { text };
  }

  @Handles(perInstance)
  here({ text }: InputOf<typeof perInstance>): OutputOf<typeof perInstance> {
    return { text };
  }

  @Handles(large)
  large({ bytes }: InputOf<typeof large>): OutputOf<typeof large> {
    return { text: 'x'.repeat(bytes) };
  }

  @Handles(fail)
  fail({ how }: InputOf<typeof fail>): OutputOf<typeof fail> {
    if (how === 'nothing') return undefined;
    if (how === 'wrong output') return { text: 1 } as unknown as { text: string };
    if (how === 'bug') throw new TypeError('a secret detail');
    throw new AltoError(how === 'declared' ? 'conflict' : 'checksum_mismatch', { message: 'No.', field: 'how' });
  }

  @Handles(context)
  context(_input: InputOf<typeof context>, call: CallContext): OutputOf<typeof context> {
    expect(currentCall()).toBe(call);
    const { traceId, requestId, caller } = call;
    return { remainingMs: call.remainingMs(), traceId, requestId, caller: caller.id };
  }

  @Handles(relay)
  relay(): Promise<OutputOf<typeof context>> {
    return client.client.call(context, {}, { timeoutMs: 60_000 });
  }

  @Handles(stall)
  async stall(_input: InputOf<typeof stall>, call: CallContext): Promise<OutputOf<typeof stall>> {
    const startedAt = performance.now();
    await new Promise((resolve) => call.deadline.addEventListener('abort', resolve));
    stalled = { abortedAfterMs: performance.now() - startedAt };
    return {};
  }

  @Handles(read)
  read(_input: InputOf<typeof read>, call: CallContext): OutputOf<typeof read> {
    return { caller: `${call.caller.kind} ${call.caller.id} in ${call.project}` };
  }
}

/** For the compiler alone: never served. */
class DoesNotCompile {
  // @ts-expect-error a handler whose input is not the operation's does not compile
  @Handles(echo)
  wrongInput({ text }: { text: number }): { text: string } {
    return { text: String(text) };
  }

  // @ts-expect-error a handler whose output is not the operation's does not compile
  @Handles(echo)
  wrongOutput({ text }: { text: string }): { length: number } {
    return text;
  }
}

void DoesNotCompile;

let nats: NatsServer;

const serve = (more: Partial<TransportOptions> = {}) =>
  startTransport({ url: nats.url, service: 'compute', controllers: [TestController], ...more });

/** What the caller got: the output, or the code of the error. */
async function outcome<T>(call: Promise<T>): Promise<T | string> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof AltoError) return error.code;
    throw error;
  }
}

const raw = async (op: Operation, payload: string): Promise<{ code: string; body: Record<string, unknown> }> => {
  const connection = client.bus.connection as NatsConnection;
  const message = await connection.request(op.subject, payload, { timeout: 20_000 });
  return { code: message.headers?.get('Alto-Error') ?? '', body: message.json() };
};

beforeAll(async () => {
  nats = await startNats();
  client = await startClient(nats.url, 'storage');
});

afterAll(async () => {
  await client.stop();
  await nats.stop();
});

describe('a server', () => {
  let server: RunningTransport;

  beforeAll(async () => {
    server = await serve({ concurrencyMax: 20, instance: 'one' });
  });

  afterAll(() => server.stop());

  it('answers with the output, fields beyond the contract left out', async () => {
    await expect(client.client.call(echo, { text: 'hello' })).resolves.toEqual({ text: 'hello' });
  });

  it('answers undefined', async () => {
    await expect(client.client.call(fail, { how: 'nothing' })).resolves.toBeUndefined();
  });

  it('refuses invalid input and names the field', async () => {
    const call = client.client.call(echo, { text: 5 as unknown as string });
    await expect(call).rejects.toMatchObject({ code: 'invalid_request', field: 'text' });
    await expect(client.client.call(echo, { text: 'a', more: 1 } as never)).rejects.toMatchObject({ field: 'more' });
  });

  it.each([
    '{"text":',
    'nonsense',
    '\u0000\u0001',
    '[]',
    'null',
    '5',
    '[[[[[['.repeat(2_000),
    '{"__proto__":{"text":"a"}}',
  ])('answers the malformed request %#', async (payload) => {
    expect(await raw(echo, payload)).toMatchObject({ code: 'invalid_request', body: { status: 400 } });
  });

  it('answers whatever is sent to it', async () => {
    const connection = client.bus.connection as NatsConnection;
    const anything = fc.record({
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 300, size: 'max' }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      header: fc.constantFrom('traceparent', 'Alto-Budget-Ms', 'Alto-Request-Id', 'Alto-Caller', 'Alto-Error', 'Other'),
      value: fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[\r\n]/g, '')),
    });
    const answered = fc.asyncProperty(anything, async ({ payload, header, value }) => {
      const given = headers();
      given.set(header, value);
      const answer = await connection.request(echo.subject, payload, { timeout: 20_000, headers: given });
      const code = answer.headers?.get('Alto-Error') ?? '';
      expect(['', 'invalid_request', 'timeout']).toContain(code);
    });
    await fc.assert(answered, runs(300));
  });

  it('passes a declared error on with its field, and the trace id', async () => {
    const call = client.client.call(fail, { how: 'declared' });
    await expect(call).rejects.toMatchObject({ code: 'conflict', field: 'how', message: 'No.' });
    await expect(call).rejects.toHaveProperty('traceId', expect.stringMatching(/^[0-9a-f]{32}$/));
  });

  it.each(['undeclared', 'bug', 'wrong output'] as const)(
    'turns %s into internal and tells no details',
    async (how) => {
      const answer = await raw(fail, JSON.stringify({ how }));
      expect(answer).toMatchObject({ code: 'internal', body: { status: 500 } });
      expect(JSON.stringify(answer.body)).not.toContain('secret');
    },
  );

  it('answers overloaded above its concurrency, and recovers', async () => {
    const calls = Array.from({ length: 60 }, () => outcome(client.client.call(echo, { text: 'a', waitMs: 1_500 })));
    const outcomes = await Promise.all(calls);
    expect(outcomes.filter((one) => one === 'overloaded')).toHaveLength(40);
    await expect(client.client.call(echo, { text: 'again' })).resolves.toEqual({ text: 'again' });
  });

  it('tells the caller when an answer or a request is too large for NATS', async () => {
    await expect(client.client.call(large, { bytes: 2_000_000 })).rejects.toMatchObject({ code: 'internal' });
    const text = 'x'.repeat(2_000_000);
    await expect(client.client.call(echo, { text })).rejects.toMatchObject({ code: 'too_large' });
  });

  it('lets budget, trace, request id travel on with the calls that a handler makes', async () => {
    const first = await client.client.call(relay, {}, { timeoutMs: 20_000 });
    expect(first.remainingMs).toBeLessThanOrEqual(20_000);
    expect(first.remainingMs).toBeGreaterThan(5_000);
    expect(first.caller).toBe('storage');
    const second = await client.client.call(relay, {});
    expect(second.traceId).not.toBe(first.traceId);
    expect(second.requestId).not.toBe(first.requestId);
  });

  it('accepts a trace from outside', async () => {
    const connection = client.bus.connection as NatsConnection;
    const given = headers();
    given.set('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
    const answer = await connection.request(context.subject, '{}', { timeout: 20_000, headers: given });
    expect(answer.json()).toMatchObject({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736' });
  });

  it('times out at the caller and stops the handler when the budget is over', async () => {
    stalled = undefined;
    await expect(client.client.call(stall, {}, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'timeout',
      status: 504,
    });
    await expect(client.client.call(echo, { text: 'after' })).resolves.toBeDefined();
    await eventually(() => expect(stalled).toBeDefined());
    expect(stalled!.abortedAfterMs).toBeGreaterThan(150);
  });

  it('reaches one instance where an operation is addressed to one', async () => {
    await expect(client.client.call(perInstance, { text: 'a' }, { instance: 'one' })).resolves.toEqual({ text: 'a' });
    const other = client.client.call(perInstance, { text: 'a' }, { instance: 'two', patienceMs: 0 });
    await expect(other).rejects.toMatchObject({ code: 'service_unavailable' });
  });

  describe('with callers', () => {
    const project = newId('project');
    const token = (role: 'viewer' | 'developer' | 'operator', id: string | null = project) =>
      transportSigner.sign({ id: 'key_1', role, project: id, projectName: 'shop' });

    it('lets a caller into its own project', async () => {
      const call = client.client.call(read, { project }, { callerToken: token('developer') });
      await expect(call).resolves.toEqual({ caller: `key key_1 in ${project}` });
    });

    it('lets an operator without a project into every project', async () => {
      await expect(
        client.client.call(read, { project }, { callerToken: token('operator', null) }),
      ).resolves.toBeDefined();
    });

    it.each([
      ['no token', () => undefined, 'unauthenticated'],
      ['a token that is none', () => 'a.b.c', 'unauthenticated'],
      ['a role without the permission', () => token('viewer'), 'forbidden'],
      ["another project's token", () => token('developer', newId('project')), 'not_found'],
      ['a token without a project', () => token('developer', null), 'not_found'],
    ])('refuses %s', async (_what, callerToken, code) => {
      await expect(client.client.call(read, { project }, { callerToken: callerToken() })).rejects.toMatchObject({
        code,
      });
    });
  });

  it('speaks the NATS services protocol through its announcer only', async () => {
    expect(server.server.served.map(({ operation: { name } }) => name)).toContain(echo.name);
    expect(server.server.served.find(({ operation: { verb } }) => verb === 'fail')?.stats.errors).toBeGreaterThan(0);
  });
});

describe('without a server', () => {
  it('says at once that the service is not available', async () => {
    const startedAt = performance.now();
    const call = client.client.call(echo, { text: 'a' }, { patienceMs: 0 });
    await expect(call).rejects.toMatchObject({ code: 'service_unavailable', details: { service: 'compute' } });
    // Who waited for one would wait five seconds.
    expect(performance.now() - startedAt).toBeLessThan(2_500);
  });

  it('tries on while there is patience', async () => {
    const call = client.client.call(echo, { text: 'late' });
    const server = await serve();
    await expect(call).resolves.toEqual({ text: 'late' });
    await server.stop();
  });
});

describe('a controller of another service', () => {
  it('cannot be served', async () => {
    await expect(serve({ service: 'storage', controllers: [TestController] })).rejects.toThrow('belongs to compute');
  });
});
