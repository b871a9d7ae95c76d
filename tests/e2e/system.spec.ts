/** A whole Alto, as a user meets it: through the API, the command and the apps' port. */
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import {
  computeOperations,
  gatewayOperations,
  loadBalancerOperations,
  notificationsOperations,
  type OutputOf,
  searchOperations,
  storageOperations,
} from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { type Alto, eventually, startAlto } from '@alto/testing';
import { type Authenticator, connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';

const project = 'default';
const hello = fileURLToPath(new URL('../../examples/hello', import.meta.url));
const helloHost = 'hello.default.localhost';

let alto: Alto;

async function commandJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await alto.command(...args, '--json'));
}

/** Every process of this Alto by its name, but not the agent. */
async function processes(): Promise<Record<string, number | null>> {
  const { workloads } = await alto.status();
  return Object.fromEntries(workloads.filter(({ pid }) => pid !== null).map(({ id, pid }) => [id, pid]));
}

/** Asks an app by its host name. `fetch` does not let a caller set that. */
function instanceThatAnswers(url: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        if (response.statusCode === 200) resolve((JSON.parse(body) as { instance: string }).instance);
        else reject(new Error(`status ${response.statusCode}: ${body}`));
      });
    })
      .on('error', reject)
      .end();
  });
}

beforeAll(async () => {
  alto = await startAlto();
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 300_000);

describe('an app', () => {
  it('is deployed from a folder and answers from every replica', async () => {
    const printed = await alto.command('deploy', hello, '--project', project);
    expect(printed).toContain('hello');
    const seen = new Set<string>();
    await eventually(
      async () => {
        seen.add(await instanceThatAnswers(alto.appsUrl, helloHost));
        expect(seen.size).toBe(3);
      },
      { withinMs: 60_000 },
    );
    const apps = await alto.client.call(computeOperations.apps.list, { project });
    expect(apps.items).toMatchObject([{ name: 'hello', status: { state: 'running', ready: 3, desired: 3 } }]);
  }, 360_000);

  it('is deployed again unchanged without a new revision', async () => {
    const before = await alto.client.call(computeOperations.apps.get, { project, app: 'hello' });
    await alto.command('deploy', hello, '--project', project);
    const after = await alto.client.call(computeOperations.apps.get, { project, app: 'hello' });
    expect(after.revision).toBe(before.revision);
  }, 300_000);

  it('shows its logs with the instance in front', async () => {
    const printed = await alto.command('logs', 'hello', '--project', project);
    expect(printed).toMatch(/ins_\w+.*listens on \d+/);
  });

  it('tells of its changes to who follows its events', async () => {
    const seen: string[] = [];
    const stop = new AbortController();
    const follow = async () => {
      for await (const { event } of alto.client.follow({
        project,
        signal: stop.signal,
        onConnected: () => seen.push('connected'),
      })) {
        seen.push(event.type);
      }
    };
    const following = follow().catch(() => undefined);
    try {
      await eventually(() => expect(seen).toContain('connected'));
      await alto.client.call(computeOperations.apps.put, {
        project,
        app: 'brief',
        command: ['node', '-e', '0'],
        replicas: 0,
      });
      await alto.client.call(computeOperations.apps.delete, { project, app: 'brief' });
      await eventually(() => expect(seen).toContain('compute.apps.deleted'), { withinMs: 60_000 });
    } finally {
      stop.abort();
      await following;
    }
    expect(seen.indexOf('compute.apps.created')).toBeLessThan(seen.indexOf('compute.apps.deleted'));
    expect(seen).toContain('compute.apps.created');
  }, 300_000);
});

describe('the other services', () => {
  it('keep messages', async () => {
    const topic = { project, topic: 'news' };
    const sent = await alto.client.call(notificationsOperations.messages.publish, { ...topic, body: { text: 'hi' } });
    const { items } = await alto.client.call(notificationsOperations.messages.list, topic);
    expect(items).toEqual([sent]);
  });

  it('find documents by their words', async () => {
    const index = { project, index: 'notes' };
    const fields = { title: 'Drain before you stop' };
    await alto.client.call(searchOperations.documents.put, { ...index, document: 'one', fields });
    const { items } = await alto.client.call(searchOperations.hits.list, { ...index, q: 'stop' });
    expect(items).toMatchObject([{ document: 'one', fields }]);
  });

  it('are all listed, available and in one version', async () => {
    const { items } = await alto.client.call(gatewayOperations.services.list, {});
    expect(items.map(({ service, state }) => `${service} ${state}`).sort()).toEqual([
      'compute available',
      'gateway available',
      'load-balancer available',
      'node-agent available',
      'notifications available',
      'search available',
      'storage available',
    ]);
  });
});

describe('a project', () => {
  it('is a wall: a key of one sees nothing of another', async () => {
    await alto.client.call(gatewayOperations.projects.create, { name: 'other' });
    const { key } = await alto.client.call(gatewayOperations.keys.create, {
      project: 'other',
      name: 'test',
      role: 'admin',
    });
    const stranger = new AltoClient({ baseUrl: alto.apiUrl, apiKey: key });
    const foreign = await stranger
      .call(computeOperations.apps.get, { project, app: 'hello' })
      .catch((error: unknown) => error);
    const unknown = await stranger
      .call(computeOperations.apps.get, { project: 'nowhere', app: 'hello' })
      .catch((error: unknown) => error);
    expect(foreign).toMatchObject({ code: 'not_found' });
    expect((foreign as Error).message.replace(project, '')).toBe((unknown as Error).message.replace('nowhere', ''));
    expect(await stranger.call(gatewayOperations.projects.list, {})).toMatchObject({ items: [{ name: 'other' }] });
  });
});

describe('a subscriber on NATS', () => {
  /** NATS cuts off who is slow to sign in, which says nothing of the credentials: tried again. @returns why it is not let in */
  async function signIn(servers: string[], authenticator: Authenticator): Promise<NatsConnection | Error> {
    return await eventually(() =>
      connect({ servers, authenticator, reconnect: false }).catch((error: Error) => {
        if (/timeout/i.test(error.message)) throw error;
        return error;
      }),
    );
  }

  it('hears of its project, is cut off when it is revoked, and let in no more', async () => {
    const { id, credentials, servers, subject } = JSON.parse(
      await alto.command('keys', 'create', '--nats', '--name', 'feed', '--json'),
    ) as OutputOf<typeof gatewayOperations.keys.createNats>;
    const authenticator = credsAuthenticator(Buffer.from(credentials));
    const connection = await signIn(servers, authenticator);
    if (connection instanceof Error) throw connection;
    const heard: string[] = [];
    connection.subscribe(subject, {
      callback: (_, message) => void heard.push(message.subject.split('.').pop() ?? ''),
    });
    await connection.flush();
    await alto.client.call(gatewayOperations.keys.create, { project, name: 'told', role: 'viewer' });
    await eventually(() => expect(heard).toContain('created'));

    expect(await alto.command('keys', 'revoke', id)).toMatch(/is revoked\.\s*$/);
    await connection.closed();
    expect(await signIn(servers, authenticator)).toMatchObject({ message: expect.stringMatching(/[Aa]uthorization/) });
  }, 60_000);
});

describe('the command', () => {
  it.each([
    ['status'],
    ['doctor'],
    ['projects', 'list'],
    ['keys', 'list'],
    ['apps', 'list'],
    ['nodes'],
    ['services', 'list'],
  ])(
    '%s %s speaks to people and to programs',
    async (...args) => {
      const words = args.filter((word): word is string => word !== undefined);
      expect(await alto.command(...words)).toMatch(/\w+/);
      expect(await commandJson(...words)).toEqual(expect.anything());
      expect(await alto.command(...words, '--help')).toMatch(/Examples?:/);
    },
    300_000,
  );

  it('says what to do next when it fails', async () => {
    await expect(alto.command('logs', 'nothing-of-that-name', '--project', project)).rejects.toThrow(
      /nothing-of-that-name[\s\S]*alto /,
    );
  });
});

describe('a service alone', () => {
  const reads = {
    gateway: (client: AltoClient) => client.call(gatewayOperations.projects.list, {}),
    compute: (client: AltoClient) => client.call(computeOperations.apps.list, { project }),
    notifications: (client: AltoClient) => client.call(notificationsOperations.topics.list, { project }),
    search: (client: AltoClient) => client.call(searchOperations.hits.list, { project, index: 'notes', q: 'stop' }),
    storage: (client: AltoClient) => client.call(storageOperations.bundles.list, { project }),
    'load-balancer': (client: AltoClient) => client.call(loadBalancerOperations.routes.list, { project }),
  };

  it.each(['compute', 'notifications', 'search', 'storage', 'load-balancer'] as const)(
    '%s can be missing: 503 names it at once, the others and the apps serve',
    async (service) => {
      const impatient = new AltoClient({ baseUrl: alto.apiUrl, apiKey: alto.adminKey, retry: { retriesMax: 0 } });
      const agent = await alto.agentPid();
      const pid = await alto.pid(service);
      process.kill(agent, 'SIGSTOP'); // It would start the service again.
      try {
        process.kill(pid, 'SIGTERM');
        await eventually(() =>
          expect(reads[service](impatient)).rejects.toMatchObject({
            code: 'service_unavailable',
            message: expect.stringContaining(service),
          }),
        );
        for (const [other, read] of Object.entries(reads)) if (other !== service) await read(impatient);
        await instanceThatAnswers(alto.appsUrl, helloHost);
      } finally {
        process.kill(agent, 'SIGCONT');
      }
      await eventually(async () => void (await reads[service](impatient)), { withinMs: 60_000 });
    },
    300_000,
  );

  it('an agent that is killed comes back to the same processes', async () => {
    const before = await processes();
    await alto.killAgent();
    await instanceThatAnswers(alto.appsUrl, helloHost);
    await alto.start();
    expect(await processes()).toEqual(before);
    expect(Object.keys(before).length).toBeGreaterThan(9);
  }, 300_000);
});
