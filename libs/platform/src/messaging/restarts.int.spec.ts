/** What callers see while services and NATS restart. Each server and client has a connection of its own. */
import { Controller } from '@nestjs/common';
import { AltoError, type InputOf, operation, type OutputOf } from '@alto/contracts';
import {
  eventually,
  type NatsServer,
  type RunningClient,
  type RunningTransport,
  startClient,
  startNats,
  startTransport,
} from '@alto/testing';
import { z } from 'zod';
import { Handles } from './handles';

const work = operation({
  service: 'compute',
  noun: 'work',
  verb: 'do',
  version: 1,
  summary: 'For tests',
  permission: 'internal',
  callers: ['storage'],
  input: z.object({ id: z.number(), forMs: z.number() }),
  output: z.object({ id: z.number() }),
  errors: [],
  idempotent: false,
});
const lookUp = operation({ ...work, verb: 'lookUp', idempotent: true });

/** How often each request was served: more than once would be a request done twice. */
const served = new Map<number, number>();

async function serve({ id, forMs }: InputOf<typeof work>): Promise<OutputOf<typeof work>> {
  served.set(id, (served.get(id) ?? 0) + 1);
  // Nobody waits for a handler that was cut off, not even the process.
  await new Promise((resolve) => setTimeout(resolve, forMs).unref());
  return { id };
}

@Controller()
class WorkController {
  @Handles(work)
  work(input: InputOf<typeof work>): Promise<OutputOf<typeof work>> {
    return serve(input);
  }

  @Handles(lookUp)
  lookUp(input: InputOf<typeof lookUp>): Promise<OutputOf<typeof lookUp>> {
    return serve(input);
  }
}

let nats: NatsServer;
let client: RunningClient;

beforeEach(async () => {
  served.clear();
  nats = await startNats();
  client = await startClient(nats.url, 'storage');
});

afterEach(async () => {
  await client.stop();
  await nats.stop();
});

const options = () => ({ url: nats.url, service: 'compute', controllers: [WorkController] }) as const;
const start = () => startTransport(options());

/** For calls that are to outlast whatever happens, on a busy machine too. */
const patient = { patienceMs: 30_000, timeoutMs: 30_000 };

/** Keeps `inFlight` requests under way, of up to `longestMs` each, and counts what became of them. */
class Load {
  readonly failures: string[] = [];
  answered = 0;
  private next = 0;
  private stopping = false;
  private readonly running: Promise<void[]>;

  constructor(
    inFlight: number,
    private readonly longestMs: number,
  ) {
    this.running = Promise.all(Array.from({ length: inFlight }, () => this.keepCalling()));
  }

  get sent(): number {
    return this.next;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async keepCalling(): Promise<void> {
    while (!this.stopping) {
      const id = this.next++;
      try {
        const answer = await client.client.call(work, { id, forMs: Math.random() * this.longestMs }, patient);
        if (answer.id === id) this.answered++;
        else this.failures.push(`${id} got the answer of ${answer.id}`);
      } catch (error) {
        this.failures.push(error instanceof AltoError ? `${error.code}: ${error.message}` : String(error));
      }
    }
  }
}

it('a rolling restart of two instances at 100 requests in flight loses none and does none twice', async () => {
  let servers: RunningTransport[] = [await start(), await start()];
  const load = new Load(100, 60);
  for (let restart = 0; restart < 8; restart++) {
    const reached = load.answered + 500;
    await eventually(() => expect(load.answered).toBeGreaterThan(reached));
    const [oldest, ...others] = servers;
    servers = [...others, await start()];
    await oldest!.stop();
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.answered).toBe(load.sent);
  expect(Array.from(served.values()).filter((times) => times !== 1)).toEqual([]);
  await Promise.all(servers.map((server) => server.stop()));
});

it('callers outlast the restart of the only instance', async () => {
  let server = await start();
  const load = new Load(50, 30);
  for (let restart = 0; restart < 4; restart++) {
    const reached = load.answered + 200;
    await eventually(() => expect(load.answered).toBeGreaterThan(reached));
    await server.stop();
    server = await start();
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(Array.from(served.values()).filter((times) => times !== 1)).toEqual([]);
  await server.stop();
});

it('a drain lasts as long as the handlers, and no longer', async () => {
  const server = await start();
  const startedAt = performance.now();
  const answers = Promise.all([400, 100, 250].map((forMs, id) => client.client.call(work, { id, forMs })));
  await eventually(() => expect(served.size).toBe(3), { everyMs: 1 });
  await server.stop();
  const stoppedAfterMs = performance.now() - startedAt;
  expect(stoppedAfterMs).toBeGreaterThanOrEqual(395);
  expect(stoppedAfterMs).toBeLessThan(5_000);
  await expect(answers).resolves.toHaveLength(3);

  const idle = await start();
  const idleSince = performance.now();
  await idle.stop();
  expect(performance.now() - idleSince).toBeLessThan(5_000);
});

it('a drain does not wait for a handler that never ends', async () => {
  const server = await startTransport({ ...options(), drainTimeoutMs: 200 });
  const call = client.client.call(work, { id: 1, forMs: 10_000 }, { timeoutMs: 500 });
  call.catch(() => undefined);
  await eventually(() => expect(served.size).toBe(1));
  const startedAt = performance.now();
  await server.stop();
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await expect(call).rejects.toMatchObject({ code: 'timeout' });
});

it('a drain without NATS ends all the same', async () => {
  const server = await start();
  await nats.kill();
  await eventually(() => expect(server.bus.state).toBe('disconnected'));
  const startedAt = performance.now();
  await server.stop();
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

it('services and callers recover from a restart of NATS', async () => {
  const server = await start();
  await expect(client.client.call(work, { id: 1, forMs: 0 })).resolves.toEqual({ id: 1 });
  await nats.kill();
  await eventually(() => expect(server.bus.notReadyReason()).toMatch(/NATS is disconnected/));
  await expect(client.client.call(work, { id: 2, forMs: 0 }, { patienceMs: 100 })).rejects.toMatchObject({
    code: 'service_unavailable',
  });
  const waiting = client.client.call(work, { id: 3, forMs: 0 }, patient);
  await nats.start();
  await expect(waiting).resolves.toEqual({ id: 3 });
  expect(server.bus.notReadyReason()).toBeUndefined();
  await server.stop();
});

it('a lost connection fails what is under way, and is tried again where that does no harm', async () => {
  const server = await start();
  const once = client.client.call(work, { id: 1, forMs: 20_000 });
  const again = client.client.call(lookUp, { id: 2, forMs: 2_000 }, patient);
  once.catch(() => undefined);
  await eventually(() => expect(served.size).toBe(2));
  await nats.kill();
  await expect(once).rejects.toMatchObject({ code: 'service_unavailable' });
  await nats.start();
  await expect(again).resolves.toEqual({ id: 2 });
  expect(served.get(1)).toBe(1);
  await server.stop();
});

it('a connection that was given up for good is replaced, with its subscriptions', async () => {
  const server = await start();
  await Promise.all([server.bus.connection?.close(), client.bus.connection?.close()]);
  await expect(client.client.call(work, { id: 1, forMs: 0 })).resolves.toEqual({ id: 1 });
  await server.stop();
});

it('a frozen NATS fails calls within their budget, and all goes on when it thaws', async () => {
  const server = await start();
  nats.pause();
  await expect(client.client.call(work, { id: 1, forMs: 0 }, { timeoutMs: 300 })).rejects.toMatchObject({
    code: 'timeout',
  });
  nats.resume();
  await expect(client.client.call(work, { id: 2, forMs: 0 })).resolves.toEqual({ id: 2 });
  await server.stop();
});

it('a service starts while NATS is away and serves when it comes', async () => {
  await nats.shutDown();
  const starting = start();
  await nats.start();
  const server = await starting;
  await expect(client.client.call(work, { id: 1, forMs: 0 })).resolves.toEqual({ id: 1 });
  await server.stop();
});

it('messages reach subscribers, also after a restart of NATS', async () => {
  const received: unknown[] = [];
  const subscription = client.client.subscribe('alto.nudge.storage.test', (data) => {
    received.push(data);
    throw new Error('a handler that fails does not end the subscription');
  });
  await client.bus.connection?.flush();
  client.client.publish('alto.nudge.storage.test', { n: 1 });
  await eventually(() => expect(received).toEqual([{ n: 1 }]));
  await nats.restart();
  await eventually(() => {
    client.client.publish('alto.nudge.storage.test', { n: 2 });
    expect(received).toContainEqual({ n: 2 });
  });
  subscription.unsubscribe();
  client.client.publish('alto.nudge.storage.test', { n: 3 });
  await client.bus.connection?.flush();
  expect(received).not.toContainEqual({ n: 3 });
});
