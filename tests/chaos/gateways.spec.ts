/**
 * Three gateways under load, each killed in turn and replaced. Clients do what the sdk does: a request that was not
 * answered is sent again, with its idempotency key, to whichever gateway serves. In the end every acknowledged change is
 * there, each exactly once, none is missing from the audit log, and nobody was granted more than the limits say.
 */
import { type ServiceProcess, startServices, type TestServices } from '@alto/testing';

const keyRate = 40;
const windowSeconds = 2;
const writers = 6;
const changesPerKill = 60;
const settings = {
  ALTO_RATE_LIMIT_KEY_PER_SECOND: String(keyRate),
  ALTO_RATE_LIMIT_WINDOW_SECONDS: String(windowSeconds),
  // The operator makes what the test needs, and the gateways wait for no load balancer.
  ALTO_RATE_LIMIT_OPERATOR_PER_SECOND: '1000',
};

interface Answer {
  readonly status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any;
}

let alto: TestServices;
let serving: ServiceProcess[];
let turn = 0;

beforeAll(async () => {
  alto = await startServices({ services: ['gateway', 'notifications'], env: settings });
  serving = [alto.processOf('gateway'), await alto.start('gateway'), await alto.start('gateway')];
  await Promise.all(serving.map((gateway) => learned(gateway)));
}, 300_000);

afterAll(async () => {
  await alto?.stop();
});

/** Sent to the next gateway. Undefined: no answer came, so nobody knows whether it was done. */
async function send(method: string, path: string, key: string, more: RequestInit = {}): Promise<Answer | undefined> {
  const gateway = serving[turn++ % serving.length];
  try {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more.headers };
    const signal = AbortSignal.timeout(15_000);
    const response = await fetch(`${gateway?.url}${path}`, { ...more, method, headers, signal });
    const body: unknown = await response.json();
    return { status: response.status, body };
  } catch {
    return undefined;
  }
}

/** A gateway knows the routes of a service once it has heard of it. */
async function learned(gateway: ServiceProcess): Promise<void> {
  const headers = { authorization: `Bearer ${alto.operatorKey}` };
  for (let attempt = 0; attempt < 300; attempt++) {
    const { status } = await fetch(`${gateway.url}/v1/projects/default/topics`, { headers });
    if (status === 200) return;
    await pause(100);
  }
  throw new Error(`${gateway.url} has not learned of notifications`);
}

/** What has been acknowledged so far, and how often nobody knew. */
const acknowledged = { messages: 0, keys: new Map<string, string>(), unanswered: 0 };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends until it is done. What was not answered may have been: it goes again under the same name. */
async function postOnce(path: string, key: string, name: string, content: unknown): Promise<Answer> {
  const request = { body: JSON.stringify(content), headers: { 'idempotency-key': name } };
  const giveUpAt = performance.now() + 60_000;
  for (;;) {
    const answer = await send('POST', path, key, request);
    if (answer === undefined) acknowledged.unanswered++;
    if (answer?.status === 201) return answer;
    const isPassing = answer === undefined || answer.status >= 500 || [409, 429].includes(answer.status);
    if (!isPassing || performance.now() > giveUpAt)
      throw new Error(`${path} ${name} was answered ${answer?.status}: ${JSON.stringify(answer?.body)}`);
    await pause(50 + Math.random() * 100);
  }
}

async function createKey(name: string): Promise<string> {
  const answer = await postOnce('/v1/projects/default/keys', alto.operatorKey, name, { name, role: 'developer' });
  return answer.body.key as string;
}

/** Publishes 1, 2, 3 … to a topic of its own, each one once the one before is acknowledged. */
async function publish(topic: string, key: string, running: AbortSignal): Promise<number> {
  let last = 0;
  while (!running.aborted) {
    const next = last + 1;
    const path = `/v1/projects/default/topics/${topic}/messages`;
    const answer = await postOnce(path, key, `${topic}-${next}`, { body: next });
    if (answer.body.sequence !== next) throw new Error(`${topic} ${next} became ${answer.body.sequence}`);
    acknowledged.messages++;
    last = next;
  }
  return last;
}

/** The gateways' own operation, whose answer holds a secret that is in no database. */
async function makeKeys(running: AbortSignal): Promise<void> {
  for (let number = 1; number <= 100 && !running.aborted; number++) {
    acknowledged.keys.set(`made-${number}`, await createKey(`made-${number}`));
    await pause(100);
  }
}

/** Asks as often as it can. @returns how often it was let in */
async function hammer(key: string, running: AbortSignal): Promise<number> {
  let granted = 0;
  const askers = Array.from({ length: 4 }, async () => {
    while (!running.aborted) {
      const answer = await send('GET', '/v1/whoami', key);
      if (answer?.status === 200) granted++;
      else await pause(5);
    }
  });
  await Promise.all(askers);
  return granted;
}

async function replace(gateway: ServiceProcess, running: AbortSignal): Promise<void> {
  const enough = acknowledged.messages + changesPerKill;
  while (acknowledged.messages < enough && !running.aborted) await pause(5);
  process.kill(gateway.pid, 'SIGKILL');
  // A load balancer goes on sending to it until its next check.
  await pause(250);
  serving = serving.filter((one) => one !== gateway);
  const fresh = await alto.start('gateway');
  await learned(fresh);
  serving = [...serving, fresh];
}

async function messagesOf(topic: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const query = `limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const path = `/v1/projects/default/topics/${topic}/messages?${query}`;
    const { body } = (await send('GET', path, alto.operatorKey)) ?? { body: { items: [] } };
    found.push(...(body.items as { body: unknown }[]).map((message) => message.body));
    cursor = body.nextCursor as string | undefined;
  }
  return found;
}

/** How many messages the audit log says that somebody published, or may have, to each topic. */
async function written(): Promise<Map<string, number>> {
  const target = '/v1/projects/default/audit/export?operation=notifications.messages.publish';
  const headers = { authorization: `Bearer ${alto.operatorKey}` };
  const response = await fetch(`${serving[0]?.url}${target}`, { headers });
  const counts = new Map<string, number>();
  for (const line of (await response.text()).trim().split('\n')) {
    const { resource, result } = JSON.parse(line) as { resource: string; result: string };
    if (result !== 'refused') counts.set(resource, (counts.get(resource) ?? 0) + 1);
  }
  return counts;
}

it('applies each change once and loses none, and holds to the limits, while gateways are killed', async () => {
  const topics = Array.from({ length: writers }, (_, index) => `topic-${index}`);
  const keys = await Promise.all(topics.map((topic) => createKey(`writer-of-${topic}`)));
  const greedy = await createKey('greedy');
  const running = new AbortController();
  const startedAt = performance.now();
  const load = topics.map((topic, index) => publish(topic, keys[index] ?? '', running.signal));
  const making = makeKeys(running.signal);
  const hammering = hammer(greedy, running.signal);
  const all = [...load, making, hammering];
  const kills = (async () => {
    for (const gateway of [...serving]) await replace(gateway, running.signal);
  })();
  try {
    // A load that fails ends the test at once, instead of letting the kills wait for what never comes.
    await Promise.race([kills, Promise.all(all)]);
  } finally {
    running.abort();
    await Promise.allSettled([...all, kills]);
  }
  await kills;
  const seconds = (performance.now() - startedAt) / 1_000;

  const lasts = await Promise.all(load);
  const entries = await written();
  for (const [index, topic] of topics.entries()) {
    expect(await messagesOf(topic)).toEqual(Array.from({ length: lasts[index] ?? 0 }, (_, number) => number + 1));
    expect(entries.get(`topics/${topic}/messages`)).toBeGreaterThanOrEqual(lasts[index] ?? 0);
  }
  expect(acknowledged.unanswered).toBeGreaterThan(0);
  await making;
  for (const [, key] of acknowledged.keys) expect((await send('GET', '/v1/whoami', key))?.status).toBe(200);
  const { body } = (await send('GET', '/v1/projects/default/keys?limit=200', alto.operatorKey)) ?? { body: {} };
  const names = (body.items as { name: string }[]).map(({ name }) => name).filter((name) => name.startsWith('made-'));
  expect(names.sort()).toEqual([...acknowledged.keys.keys()].sort());
  const granted = await hammering;
  expect(granted).toBeLessThanOrEqual(keyRate * (seconds + windowSeconds) * 1.05);
  expect(granted).toBeGreaterThan(keyRate);
}, 300_000);
