import { cpSync, rmSync } from 'node:fs';
import { type CloudEvent, newId } from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsServer,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { gatewayService } from '../gateway.module';
import { type FirstOperator, makeFirstOperator } from '../identity/first-operator.fake';

let nats: NatsServer;
let database: TestDatabase;
let operator: FirstOperator;
let gateway: TestService;
const open: Subscriber[] = [];

/** A client as simple as can be: it keeps the text, and finds the events in it. */
class Subscriber {
  text = '';
  ended = false;
  private readonly leaving = new AbortController();

  constructor(readonly response: Response) {
    void this.read();
  }

  static async connect(path: string, key = operator.key, after?: string): Promise<Subscriber> {
    const leaving = new AbortController();
    const response = await fetch(`${gateway.url}${path}`, {
      headers: { authorization: `Bearer ${key}`, ...(after !== undefined && { 'last-event-id': after }) },
      signal: leaving.signal,
    });
    const subscriber = new Subscriber(response);
    subscriber.leaving.signal.addEventListener('abort', () => leaving.abort());
    open.push(subscriber);
    if (response.ok) await eventually(() => subscriber.text.includes(': connected'));
    return subscriber;
  }

  get events(): CloudEvent[] {
    return Array.from(this.text.matchAll(/^data: (.*)$/gm), ([, data]) => JSON.parse(data ?? '') as CloudEvent);
  }

  /** Positions of the events, the one of the beginning first where there is one. */
  get positions(): string[] {
    return Array.from(this.text.matchAll(/^id: (.*)$/gm), ([, id]) => id ?? '');
  }

  /** Of the keys whose creation was told. */
  get names(): unknown[] {
    const ofKeys = this.events.filter(({ type }) => type === 'gateway.keys.created');
    return ofKeys.map(({ data }) => (data as { name: string }).name);
  }

  leave(): void {
    this.leaving.abort();
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const bytes of this.response.body as unknown as AsyncIterable<Uint8Array>) {
        this.text += decoder.decode(bytes, { stream: true });
      }
    } catch {
      // Left, or cut.
    }
    this.ended = true;
  }
}

async function api(method: string, path: string, body?: unknown): Promise<{ id: string; key: string; name: string }> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  expect(response.ok).toBe(true);
  return (await response.json()) as { id: string; key: string; name: string };
}

const createProject = (name: string) => api('POST', '/v1/projects', { name });
const createKey = (project: string, name: string, role = 'viewer') =>
  api('POST', `/v1/projects/${project}/keys`, { name, role });

beforeAll(async () => {
  nats = await startNats();
  operator = makeFirstOperator();
  const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
  database = await createDatabase({ name: 'gateway', entities, migrations });
});

beforeEach(async () => {
  gateway = await startTestService(gatewayService, {
    natsUrl: nats.url,
    databaseUrl: database.url,
    settings: { ...operator.settings, ALTO_EVENT_HEARTBEAT_MS: '100', ALTO_EVENT_STREAMS_PER_KEY_MAX: '3' },
  });
  await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
  await eventually(async () => {
    const probe = await Subscriber.connect('/v1/events');
    probe.leave();
    expect(probe.response.status).toBe(200);
  });
});

afterEach(async () => {
  for (const subscriber of open.splice(0)) subscriber.leave();
  await gateway.stop();
});

afterAll(async () => {
  await database?.drop();
  await nats?.stop();
  operator?.remove();
});

it("gives a project's events, and those of no other", async () => {
  await createProject('one');
  await createProject('two');
  const { key } = await createKey('one', 'reader');
  const [own, all] = [await Subscriber.connect('/v1/projects/one/events', key), await Subscriber.connect('/v1/events')];
  expect(own.response.headers.get('content-type')).toContain('text/event-stream');
  await createKey('two', 'foreign');
  await createKey('one', 'mine');
  await eventually(() => expect(own.names).toContain('mine'));
  await eventually(() => expect(all.names).toEqual(expect.arrayContaining(['foreign', 'mine'])));
  expect(own.events.at(-1)).toMatchObject({ specversion: '1.0', type: 'gateway.keys.created', source: 'alto/gateway' });
  expect(own.text).not.toContain('foreign');
  await eventually(() => expect(own.text).toContain(': alive'));
});

it('resumes where the client was, and refuses positions that nobody gave', async () => {
  await createProject('resumed');
  const first = await Subscriber.connect('/v1/projects/resumed/events');
  await createKey('resumed', 'a');
  await eventually(() => expect(first.names).toEqual(['a']));
  const [begin, afterA] = [first.positions[0], first.positions.at(-1)];
  first.leave();
  await createKey('resumed', 'b');
  await createKey('resumed', 'c');
  const second = await Subscriber.connect('/v1/projects/resumed/events', operator.key, afterA);
  await eventually(() => expect(second.names).toEqual(['b', 'c']));
  // A client that has seen no event yet resumes from where its stream began.
  const third = await Subscriber.connect('/v1/projects/resumed/events', operator.key, begin);
  await eventually(() => expect(third.names).toEqual(['a', 'b', 'c']));
  const refused = await Subscriber.connect('/v1/projects/resumed/events', operator.key, 'nonsense');
  expect(refused.response.status).toBe(400);
});

it('resumes by time when the number means another event', async () => {
  await createProject('renumbered');
  const first = await Subscriber.connect('/v1/projects/renumbered/events');
  await createKey('renumbered', 'a');
  await createKey('renumbered', 'b');
  await eventually(() => expect(first.names).toEqual(['a', 'b']));
  const sequence = Number(first.positions.at(-1)?.split('.')[0]);
  const forged = `${sequence}.${newId('event')}`;
  const second = await Subscriber.connect('/v1/projects/renumbered/events', operator.key, forged);
  await eventually(() => expect(second.names).toEqual(expect.arrayContaining(['a', 'b'])));
});

it('misses nothing when NATS comes back without its tail', async () => {
  await createProject('tail');
  const first = await Subscriber.connect('/v1/projects/tail/events');
  await createKey('tail', 'a');
  await eventually(() => expect(first.names).toEqual(['a']));
  await nats.shutDown();
  cpSync(nats.storeFolder, `${nats.folder}/older`, { recursive: true });
  await nats.start();
  // The stream was ended when NATS came back, for the position to be verified.
  await eventually(() => first.ended);
  const second = await eventually(async () => {
    const subscriber = await Subscriber.connect('/v1/projects/tail/events', operator.key, first.positions.at(-1));
    expect(subscriber.response.status).toBe(200);
    return subscriber;
  });
  await createKey('tail', 'b');
  await createKey('tail', 'c');
  await eventually(() => expect(second.names).toEqual(['b', 'c']));
  await nats.kill();
  rmSync(nats.storeFolder, { recursive: true });
  cpSync(`${nats.folder}/older`, nats.storeFolder, { recursive: true });
  await createKey('tail', 'd');
  await nats.start();
  await eventually(() => second.ended);
  const seen = new Map(second.events.map((event) => [event.id, event]));
  await eventually(
    async () => {
      const third = await Subscriber.connect('/v1/projects/tail/events', operator.key, second.positions.at(-1));
      try {
        expect(third.response.status).toBe(200);
        await eventually(() => expect(third.names).toContain('d'), { withinMs: 3_000 });
        for (const event of third.events) seen.set(event.id, event);
      } finally {
        third.leave();
      }
    },
    { withinMs: 30_000 },
  );
  expect([...seen.values()].map(({ data }) => (data as { name: string }).name).sort()).toEqual(
    expect.arrayContaining(['b', 'c', 'd']),
  );
}, 90_000);

it('ends for a revoked key, and when the gateway drains', async () => {
  await createProject('ending');
  const { id, key } = await createKey('ending', 'reader');
  const [revoked, other] = [
    await Subscriber.connect('/v1/projects/ending/events', key),
    await Subscriber.connect('/v1/projects/ending/events'),
  ];
  await api('DELETE', `/v1/projects/ending/keys/${id}`);
  await eventually(() => revoked.ended, { withinMs: 5_000 });
  expect(other.ended).toBe(false);
  const stopping = gateway.stop();
  await eventually(() => other.ended, { withinMs: 5_000 });
  await stopping;
});

it('is limited in number for each key', async () => {
  await createProject('limited');
  const { key } = await createKey('limited', 'reader');
  const connect = () => Subscriber.connect('/v1/projects/limited/events', key);
  const [first] = [await connect(), await connect(), await connect()];
  const refused = await connect();
  expect(refused.response.status).toBe(429);
  first?.leave();
  await eventually(async () => expect((await connect()).response.status).toBe(200));
});
