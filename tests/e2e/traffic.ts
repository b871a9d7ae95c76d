/**
 * What users of an app do while it is changed: many requests on lasting and on fresh connections, requests that take
 * two seconds, and an open WebSocket. Every one that fails is counted.
 */
import { eventually, type LoadClient, loadClient, type LoadOptions, type LoadReport } from '@alto/testing';

export interface TrafficReport {
  readonly requests: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Version of the app → right answers. */
  readonly versions: Readonly<Record<string, number>>;
}

/** Requests in a second, by kind. */
const rates = { lasting: 1_800, fresh: 200 };
const connections = { lasting: 8, fresh: 4, slow: 4, idle: 20 };

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
    this.clients = [
      loadClient({ ...load, connections: connections.lasting, keepAlive: true, rate: rates.lasting }),
      loadClient({ ...load, connections: connections.fresh, keepAlive: false, rate: rates.fresh }),
      loadClient({ ...load, url: `${appsUrl}/slow`, connections: connections.slow, keepAlive: true }),
      loadClient({ ...load, url: `${appsUrl}/slow`, connections: connections.slow, keepAlive: false }),
    ];
  }

  /** Goes on until so many requests were made. @returns what became of all of them */
  async end(requestsLeast: number): Promise<TrafficReport> {
    await eventually(() => expect(sum(this.clients.map((client) => client.report()))).toBeGreaterThan(requestsLeast), {
      withinMs: 150_000,
    });
    const reports = await Promise.all(this.clients.map((client) => client.stop()));
    return {
      requests: sum(reports),
      failures: added(reports.map(({ failures }) => failures)),
      versions: added(reports.map(({ instances }) => instances)),
    };
  }
}

/** Connections that are open and hardly used: what an update of another app must not touch. */
export function idleTraffic(appsUrl: string, host: string): LoadClient {
  const isRight: LoadOptions['isRight'] = ({ status }) => status === 200;
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
