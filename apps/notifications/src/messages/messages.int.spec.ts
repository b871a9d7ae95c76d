import { connect } from '@nats-io/transport-node';
import { type CloudEvent, type Message, notificationsOperations } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { notificationsService } from '../notifications.module';

const { publish, list } = notificationsOperations.messages;
const { list: listTopics } = notificationsOperations.topics;

let nats: NatsServer;
let database: TestDatabase;
let notifications: TestService;

beforeAll(async () => {
  nats = await startNats();
  database = await createDatabase({ name: 'notifications', ...notificationsService.database! });
  notifications = await startTestService(notificationsService, { natsUrl: nats.url, databaseUrl: database.url });
  await eventually(async () => (await fetch(`${notifications.url}/readyz`)).ok, { withinMs: 30_000 });
});

afterAll(async () => {
  await notifications?.stop();
  await database?.drop();
  await nats?.stop();
});

function someone() {
  const project = newTestProject();
  const caller = callerOf(project);
  return {
    project: project.id,
    publish: (topic: string, body: Message['body'], dedupeKey?: string) =>
      notifications.call(publish, { project: project.id, topic, body: body as never, dedupeKey }, caller),
    list: (topic: string, limit?: number, cursor?: string) =>
      notifications.call(list, { project: project.id, topic, limit, cursor }, caller),
    topics: (limit?: number, cursor?: string) =>
      notifications.call(listTopics, { project: project.id, limit, cursor }, caller),
  };
}

describe('messages', () => {
  it('come back as they were sent, in order', async () => {
    const { publish, list } = someone();
    const bodies = ['text', 1.5, null, { b: 1, a: ['\u0000', 'ü'] }, []];
    for (const body of bodies) await publish('orders', body);
    const { items, nextCursor } = await list('orders');
    expect(items.map(({ body }) => body)).toEqual(bodies);
    expect(items.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(nextCursor).toBeUndefined();
  });

  it('have sequences without gaps when many are published at once to a new topic', async () => {
    const { publish, list, topics } = someone();
    const published = await Promise.all(Array.from({ length: 40 }, (_, number) => publish('busy', { number })));
    expect(published.map(({ sequence }) => sequence).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    const { items } = await list('busy', 200);
    expect(items.map(({ id }) => id).sort()).toEqual(published.map(({ id }) => id).sort());
    expect((await topics()).items).toMatchObject([{ name: 'busy', lastSequence: 40 }]);
  });

  it('are published once for each dedupeKey of a topic', async () => {
    const { publish, list } = someone();
    const repeated = await Promise.all(
      Array.from({ length: 10 }, (_, number) => publish('paid', { number }, 'invoice-1')),
    );
    expect(new Set(repeated.map(({ id }) => id)).size).toBe(1);
    await publish('paid', 'other', 'invoice-2');
    expect((await list('paid')).items).toHaveLength(2);
    expect((await publish('elsewhere', 'x', 'invoice-1')).sequence).toBe(1);
  });

  it('are listed page by page', async () => {
    const { publish, list } = someone();
    for (let number = 1; number <= 5; number++) await publish('pages', number);
    const first = await list('pages', 2);
    const second = await list('pages', 2, first.nextCursor);
    const third = await list('pages', 2, second.nextCursor);
    expect([first, second, third].map(({ items }) => items.map(({ body }) => body))).toEqual([[1, 2], [3, 4], [5]]);
    expect(third.nextCursor).toBeUndefined();
    await expect(list('pages', 2, 'nonsense')).rejects.toMatchObject({ code: 'invalid_request', field: 'cursor' });
  });

  it('are refused when they are too large or the topic is unknown or badly named', async () => {
    const { publish, list } = someone();
    await expect(publish('large', 'x'.repeat(256 * 1024))).rejects.toMatchObject({ code: 'too_large', field: 'body' });
    await expect(list('large')).rejects.toMatchObject({ code: 'not_found' });
    await expect(publish('No Name', 'x')).rejects.toMatchObject({ code: 'invalid_request', field: 'topic' });
  });

  it('are not seen by other projects', async () => {
    const [mine, theirs] = [someone(), someone()];
    await mine.publish('secret', 'mine');
    await expect(theirs.list('secret')).rejects.toMatchObject({ code: 'not_found' });
    expect((await theirs.topics()).items).toEqual([]);
    expect((await theirs.publish('secret', 'theirs')).sequence).toBe(1);
    expect((await mine.list('secret')).items).toHaveLength(1);
  });

  it('are told of by events without their bodies', async () => {
    const { project, publish } = someone();
    const connection = await connect({ servers: nats.url });
    const events: CloudEvent[] = [];
    connection.subscribe(`alto.events.${project}.>`, { callback: (_, message) => void events.push(message.json()) });
    await connection.flush();
    const message = await publish('told', { secret: true });
    await publish('told', 'again');
    await eventually(() => events.length === 2);
    const { body: _, ...data } = message;
    expect(events[0]).toMatchObject({ type: 'notifications.messages.published', project, resourceversion: 1, data });
    expect(JSON.stringify(events)).not.toContain('secret":true');
    expect(events[1]).toMatchObject({ resourceversion: 2, subject: events[0]!.subject });
    await connection.close();
  });
});

describe('topics', () => {
  it('are listed by name, page by page', async () => {
    const { publish, topics } = someone();
    for (const name of ['c', 'a', 'b-2', 'b']) await publish(name, 1);
    const first = await topics(3);
    const second = await topics(3, first.nextCursor);
    expect([first, second].map(({ items }) => items.map(({ name }) => name))).toEqual([['a', 'b', 'b-2'], ['c']]);
  });
});

describe('the quota of messages', () => {
  const publisher = (messages: number) => {
    const project = newTestProject();
    const caller = { ...callerOf(project), quotas: { messages } };
    const publishAs = (who: typeof caller) => (topic: string, dedupeKey?: string) =>
      notifications.call(publish, { project: project.id, topic, body: 1, dedupeKey }, who);
    const use = async () =>
      (await notifications.call(notificationsOperations.usage.get, { project: project.id }, caller)).use;
    return { publish: publishAs(caller), publishWith: publishAs, caller, use };
  };

  it('is never overshot by requests at the same time, over all topics together', async () => {
    const { publish, use } = publisher(7);
    const attempts = Array.from({ length: 30 }, (_, index) => publish(`topic-${index % 3}`));
    const outcomes = await Promise.allSettled(attempts);
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(outcomes.length - refused.length).toBe(7);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'quota_exceeded', details: { quota: 'messages', limit: 7 } });
    expect(await use()).toEqual({ messages: 7 });
  });

  it('counts a message once, and lets a raised limit be used', async () => {
    const { publish, publishWith, caller, use } = publisher(1);
    const first = await publish('orders', 'once');
    expect(await publish('orders', 'once')).toEqual(first);
    await expect(publish('orders')).rejects.toMatchObject({ code: 'quota_exceeded' });
    await publishWith({ ...caller, quotas: { messages: 2 } })('orders');
    expect(await use()).toEqual({ messages: 2 });
  });
});
