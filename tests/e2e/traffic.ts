/**
 * What users of an app do while it is changed: many requests on lasting and on fresh connections, requests that take
 * two seconds, and open WebSockets. Every one that fails is counted. Half of the requests are POSTs: what fails of those
 * is not sent again by the proxy, so that nothing hides it.
 */
import { computeOperations, type Instance } from '@alto/contracts';
import { type Alto, eventually, type LoadClient, loadClient, type LoadOptions, type LoadReport } from '@alto/testing';

export interface TrafficReport {
  readonly requests: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Version of the app → right answers. */
  readonly versions: Readonly<Record<string, number>>;
}

/** The example that users keep busy; `*` is its host, too. */
const project = 'default';
const app = 'live';
export const host = `${app}.${project}.localhost`;
const requestsLeast = 20_000;

/** Of reading requests and of writing ones, each. */
const perSecond = { lasting: 900, fresh: 100 };
const connections = { lasting: 4, fresh: 2, slow: 2, idle: 20 };

/**
 * Makes a change while users are busy, with an open WebSocket to each instance at least, and expects that nobody
 * notices: no request fails, no instance is restarted, and no WebSocket is cut.
 * @returns which versions answered how often
 */
export async function unnoticed(alto: Alto, change: () => Promise<unknown>): Promise<Record<string, number>> {
  const sockets: OpenSocket[] = [];
  try {
    const traffic = new Traffic(alto.appsUrl, host);
    let failure: unknown;
    await openToEach(alto, sockets)
      .then(change)
      .catch((error: unknown) => (failure = error));
    const report = await traffic.end(failure === undefined ? requestsLeast : 0);
    if (failure !== undefined) throw failure;
    expect(report.failures).toEqual({});
    expect(report.requests).toBeGreaterThanOrEqual(requestsLeast);
    await expectUncut(sockets, await instancesOf(alto));
    await expectNoRestarts(alto);
    return { ...report.versions };
  } finally {
    for (const socket of sockets) socket.close();
  }
}

async function instancesOf(alto: Alto): Promise<readonly Instance[]> {
  return (await alto.client.call(computeOperations.instances.list, { project, app })).items;
}

/** @param ofRevision of every one unless given */
export async function expectNoRestarts(alto: Alto, ofRevision?: number): Promise<void> {
  const instances = await instancesOf(alto);
  const meant = instances.filter(({ revision }) => ofRevision === undefined || revision === ofRevision);
  expect(meant).not.toEqual([]);
  const restarted = meant.filter(({ restarts }) => restarts > 0);
  expect(restarted.map(({ id, restarts, reason }) => ({ id, restarts, reason }))).toEqual([]);
}

/**
 * Adds to `sockets` until there is one to each of the app's instances. While few others ask it may be some hundred before
 * HAProxy comes to one: where several come shortly after each other its round robin leaves one out for a turn.
 */
async function openToEach(alto: Alto, sockets: OpenSocket[]): Promise<void> {
  const ids = (await instancesOf(alto)).filter(({ state }) => state === 'ready').map(({ id }) => id);
  expect(ids).not.toEqual([]);
  await eventually(async () => {
    const socket = new OpenSocket(alto.appsUrl);
    sockets.push(socket);
    await socket.isAlive();
    expect(sockets.map(({ instance }) => instance)).toEqual(expect.arrayContaining(ids));
  });
}

/** Each is open still if its instance is, and else was ended by the app's own "going away". */
async function expectUncut(sockets: readonly OpenSocket[], instances: readonly Instance[]): Promise<void> {
  const ids = instances.map(({ id }) => id as string);
  for (const socket of sockets) {
    if (ids.includes(socket.instance)) await socket.isAlive();
    else expect(await socket.ended).toEqual({ code: 1001, wasClean: true });
  }
}

export class Traffic {
  private readonly clients: readonly LoadClient[];

  constructor(appsUrl: string, host: string) {
    const load: Omit<LoadOptions, 'connections' | 'keepAlive'> = {
      url: appsUrl,
      host,
      timeoutMs: 15_000,
      isRight: ({ status }) => status === 200,
      instanceOf: ({ body }) => versionOf(body),
    };
    const slow = { url: `${appsUrl}/slow`, connections: connections.slow };
    this.clients = [load, { ...load, method: 'POST', body: 'an order' }].flatMap((each) => [
      loadClient({ ...each, connections: connections.lasting, keepAlive: true, rate: perSecond.lasting }),
      loadClient({ ...each, connections: connections.fresh, keepAlive: false, rate: perSecond.fresh }),
      loadClient({ ...each, ...slow, keepAlive: true }),
      loadClient({ ...each, ...slow, keepAlive: false }),
    ]);
  }

  /** Goes on until so many requests were made. @returns what became of all of them */
  async end(requestsLeast: number): Promise<TrafficReport> {
    await eventually(
      () => expect(sum(this.clients.map((client) => client.report()))).toBeGreaterThanOrEqual(requestsLeast),
      { withinMs: 150_000 },
    );
    const reports = await Promise.all(this.clients.map((client) => client.stop()));
    return {
      requests: sum(reports),
      failures: added(reports.map(({ failures }) => failures)),
      versions: added(reports.map(({ instances }) => instances)),
    };
  }
}

/** Connections that are open and hardly used, to an app that `says` this: what an update of another must not touch. */
export function idleTraffic(appsUrl: string, host: string, says: string): LoadClient {
  const isRight: LoadOptions['isRight'] = ({ status, body }) => status === 200 && body.includes(says);
  return loadClient({ url: appsUrl, host, connections: connections.idle, keepAlive: true, rate: 15, isRight });
}

/** Stays open until its app ends it, and repeats that it is alive until then. */
export class OpenSocket {
  /** What the app has said, in order. */
  readonly heard: string[] = [];
  readonly ended: Promise<{ code: number; wasClean: boolean }>;
  private readonly socket: WebSocket;

  constructor(appsUrl: string) {
    this.socket = new WebSocket(appsUrl.replace(/^http/, 'ws'));
    this.socket.addEventListener('message', ({ data }) => void this.heard.push(String(data)));
    this.ended = new Promise((resolve) => {
      this.socket.addEventListener('close', ({ code, wasClean }) => resolve({ code, wasClean }));
    });
  }

  /** Which one it leads to, by its greeting; empty before that. */
  get instance(): string {
    return this.heard[0] === undefined ? '' : (JSON.parse(this.heard[0]) as { instance: string }).instance;
  }

  /** The app answers on it. */
  async isAlive(): Promise<void> {
    await eventually(() => expect(this.heard.length).toBeGreaterThan(0));
    const word = `still there ${this.heard.length}`;
    this.socket.send(word);
    await eventually(() => expect(this.heard).toContain(word));
  }

  close(): void {
    this.socket.close();
  }
}

function versionOf(body: string): string {
  try {
    return (JSON.parse(body) as { version: string }).version;
  } catch {
    return `not an answer of the app: ${body.slice(0, 100)}`;
  }
}

const sum = (reports: readonly LoadReport[]) => reports.reduce((total, { requests }) => total + requests, 0);

function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const each of counts) for (const [key, count] of Object.entries(each)) all[key] = (all[key] ?? 0) + count;
  return all;
}
