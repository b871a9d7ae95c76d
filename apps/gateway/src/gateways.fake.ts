/** Several gateways on one NATS and one database, an operator's key, and a client that speaks to any of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsPermissions } from '@alto/contracts';
import {
  createDatabase,
  eventually,
  type NatsOptions,
  type NatsServer,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import pg from 'pg';
import { gatewayService } from './gateway.module';
import { type FirstOperator, makeFirstOperator } from './identity/first-operator.fake';
import { FakeService, type FakeServiceOptions } from './routing/service.fake';

export interface Answer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
  headers: Headers;
}

export interface Question {
  key?: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** Which gateway; the first one unless given. */
  gateway?: TestService;
}

export class Gateways {
  readonly all: TestService[] = [];
  private readonly fakes: FakeService[] = [];

  private constructor(
    readonly nats: NatsServer,
    readonly database: TestDatabase,
    readonly operator: FirstOperator,
    private readonly folder: string,
  ) {}

  /** @param nats secured: gateways have credentials there, and what it takes to give some to subscribers */
  static async start(count: number, settings: Record<string, string> = {}, nats: NatsOptions = {}): Promise<Gateways> {
    const { entities, migrations } = gatewayService.database ?? { entities: [], migrations: [] };
    const gateways = new Gateways(
      await startNats(nats),
      await createDatabase({ name: 'gateway', entities, migrations }),
      makeFirstOperator(),
      mkdtempSync(join(tmpdir(), 'alto-gateways-')),
    );
    const secured = nats.secured === true && {
      ALTO_NATS_CREDS_FILE: await gateways.nats.credsFile('gateway', natsPermissions('gateway')),
      ...(await gateways.nats.subscriberSettings()),
    };
    for (let index = 0; index < count; index++) await gateways.add({ ...secured, ...settings });
    return gateways;
  }

  /** One more, ready. */
  async add(settings: Record<string, string> = {}): Promise<TestService> {
    const gateway = await startTestService(gatewayService, {
      natsUrl: this.nats.url,
      databaseUrl: this.database.url,
      settings: {
        ...this.operator.settings,
        ALTO_STATE_DIR: join(this.folder, String(this.all.length)),
        ...settings,
      },
    });
    this.all.push(gateway);
    await eventually(async () => expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200));
    return gateway;
  }

  /** A service of the test's making, reachable through every gateway soon. */
  async serve(options: Omit<FakeServiceOptions, 'natsUrl' | 'callerPublicKeys'>): Promise<FakeService> {
    const { callerPublicKeys } = this.operator;
    const service = new FakeService({ natsUrl: this.nats.url, callerPublicKeys, ...options });
    this.fakes.push(service);
    return service.start();
  }

  /** With the operator's key unless another is given; '' for none. */
  async call(method: string, path: string, question: Question = {}): Promise<Answer> {
    const { key = this.operator.key, body, headers, gateway = this.all[0] } = question;
    const response = await fetch(`${gateway?.url}${path}`, {
      method,
      headers: {
        ...(key !== '' && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /^application\/(problem\+)?json$/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      body: text === '' || !isJson ? text : JSON.parse(text),
      headers: response.headers,
    };
  }

  async createProject(name: string): Promise<{ id: string; name: string }> {
    return (await this.call('POST', '/v1/projects', { body: { name } })).body as { id: string; name: string };
  }

  async createKey(project: string, role: string, more: object = {}): Promise<{ id: string; key: string }> {
    const body = { name: 'test', role, ...more };
    return (await this.call('POST', `/v1/projects/${project}/keys`, { body })).body as { id: string; key: string };
  }

  /** Takes the table of rate limits away from all gateways, and gives it back. */
  async renameBuckets(how: 'away' | 'back'): Promise<void> {
    const names = ['rate_limit_buckets', 'rate_limit_buckets_away'];
    const [from, to] = how === 'away' ? names : names.reverse();
    await this.query(`ALTER TABLE ${from} RENAME TO ${to}`);
  }

  /** One statement on the gateways' database. */
  async query<Row extends pg.QueryResultRow>(sql: string, parameters: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.database.url });
    await client.connect();
    try {
      return (await client.query<Row>(sql, parameters)).rows;
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    for (const service of [...this.fakes, ...this.all]) await service.stop();
    await this.database.drop();
    await this.nats.stop();
    this.operator.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
