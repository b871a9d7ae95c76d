/** Announcements on a NATS in operator mode, with the permissions that production has. */
import { announceSubject, contractSubject, inboxPrefix, natsPermissions, type ServiceName } from '@alto/contracts';
import {
  eventually,
  type NatsServer,
  type RunningClient,
  silentLog,
  startBus,
  startClient,
  startNats,
} from '@alto/testing';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { readFileSync } from 'node:fs';
import { type Announcement, contractText, digestOf, encodeAnnouncement } from './announcement';
import { Announcer } from './announcer';
import type { NatsBus } from './bus';
import { CallerTokenVerifier } from './caller-token';
import { ServiceDirectory } from './directory';
import { type NatsCredentials, readCredentials } from './nats-credentials';
import { AltoNatsServer } from './server';

let nats: NatsServer;
let directory: ServiceDirectory;
let gateway: RunningClient;
const buses: NatsBus[] = [];
const warnings: string[] = [];

beforeAll(async () => {
  nats = await startNats({ secured: true });
  const credsFile = await creds('gateway');
  gateway = await startClient(nats.url, 'gateway', credsFile);
  const log = silentLog();
  log.warn = (message, fields) => void warnings.push(`${message}: ${fields?.['reason']}`);
  directory = new ServiceDirectory(gateway.bus, log, readCredentials(credsFile).issuer);
  directory.start();
});

beforeEach(() => warnings.splice(0));

afterAll(async () => {
  directory.stop();
  await Promise.all(buses.map((bus) => bus.close()));
  await gateway.stop();
  await nats.stop();
});

const creds = (service: ServiceName) => nats.credsFile(service, natsPermissions(service));

async function announce(service: ServiceName, instance: string, httpUrl: string | null = null): Promise<Announcer> {
  const credsFile = await creds(service);
  const bus = startBus(nats.url, service, credsFile);
  buses.push(bus);
  const log = silentLog();
  const server = new AltoNatsServer(bus, new CallerTokenVerifier(''), log, { service, instance });
  const announcer = new Announcer(bus, server, log, { service, instance, version: '1.2.3', credsFile });
  announcer.start(httpUrl);
  return announcer;
}

const names = (service: ServiceName) =>
  directory.instances(service).map(({ instance, state }) => `${instance} ${state}`);

function forgery(more: Partial<Announcement> = {}): Announcement {
  return {
    service: 'search',
    version: '1.0.0',
    instance: 'forged',
    httpUrl: null,
    state: 'ready',
    digest: digestOf(contractText('search')),
    startedAtMs: 1,
    sequence: 1,
    ...more,
  };
}

/** A connection with the credentials of a service and no scruples. */
async function intruder(credsFile: string, service: string): Promise<NatsConnection> {
  return connect({
    servers: nats.url,
    inboxPrefix: inboxPrefix(service),
    authenticator: credsAuthenticator(readFileSync(credsFile)),
  });
}

it('a directory learns of an instance, its operations, its drain and its end', async () => {
  const changes: string[][] = [];
  const stop = directory.onChange(() => changes.push(names('storage')));
  const announcer = await announce('storage', 's1', 'http://127.0.0.1:14101');
  await eventually(() => expect(names('storage')).toEqual(['s1 ready']));
  const [instance] = directory.instances('storage');
  expect(instance).toMatchObject({ version: '1.2.3', httpUrl: 'http://127.0.0.1:14101' });
  expect(instance?.operations).toContainEqual(
    expect.objectContaining({
      name: 'storage.bundles.get',
      http: { method: 'GET', path: '/v1/projects/{project}/bundles/{bundle}' },
      input: expect.objectContaining({ type: 'object' }),
    }),
  );
  announcer.drain();
  await eventually(() => expect(names('storage')).toEqual(['s1 draining']));
  announcer.leave();
  await eventually(() => expect(names('storage')).toEqual([]));
  expect(changes).toEqual([['s1 ready'], ['s1 draining'], []]);
  stop();
});

it('a directory that comes later knows everyone at once', async () => {
  const announcer = await announce('notifications', 'n1');
  await eventually(() => expect(names('notifications')).toEqual(['n1 ready']));
  const late = new ServiceDirectory(gateway.bus, silentLog(), readCredentials(await creds('gateway')).issuer);
  const startedAt = performance.now();
  late.start();
  await eventually(() => expect(late.instances('notifications')).toHaveLength(1));
  // Each announces itself every five seconds without being asked, too.
  expect(performance.now() - startedAt).toBeLessThan(4_000);
  late.stop();
  announcer.leave();
});

it('the NATS services protocol lists the instance', async () => {
  const announcer = await announce('compute', 'c1');
  await eventually(() => expect(names('compute')).toEqual(['c1 ready']));
  const connection = gateway.bus.connection!;
  const ask = async (subject: string) => (await connection.request(subject, undefined, { timeout: 2_000 })).json();
  await expect(ask('$SRV.PING.compute')).resolves.toMatchObject({
    type: 'io.nats.micro.v1.ping_response',
    name: 'compute',
    id: 'c1',
    version: '1.2.3',
  });
  await expect(ask('$SRV.INFO.compute.c1')).resolves.toMatchObject({
    type: 'io.nats.micro.v1.info_response',
    endpoints: [],
  });
  await expect(ask('$SRV.STATS')).resolves.toMatchObject({ type: 'io.nats.micro.v1.stats_response' });
  announcer.leave();
});

describe('a forged announcement is refused', () => {
  let search: NatsConnection;
  let searchCreds: NatsCredentials;

  beforeAll(async () => {
    const file = await creds('search');
    search = await intruder(file, 'search');
    searchCreds = readCredentials(file);
  });

  afterAll(() => search.close());

  const send = (text: string, subject = announceSubject('search')) => search.publish(subject, text);
  const refused = (reason: RegExp) =>
    eventually(() => expect(warnings.some((warning) => reason.test(warning))).toBe(true));

  it('without a signature', async () => {
    send(encodeAnnouncement(forgery(), undefined));
    await refused(/not signed/);
  });

  it('for another service', async () => {
    send(encodeAnnouncement(forgery({ service: 'compute' }), searchCreds));
    await refused(/speaks for compute on alto\.announce\.search/);
  });

  it('on the subject of another service, already by NATS', async () => {
    const errors: string[] = [];
    const watching = (async () => {
      for await (const status of search.status()) if (status.type === 'error') errors.push(status.error.message);
    })();
    send(encodeAnnouncement(forgery({ service: 'compute' }), searchCreds), announceSubject('compute'));
    await eventually(() =>
      expect(errors.join()).toMatch(/Permissions Violation for Publish to "alto\.announce\.compute"/i),
    );
    expect(names('compute')).toEqual([]);
    void watching;
  });

  it("signed with another service's credentials", async () => {
    send(encodeAnnouncement(forgery(), readCredentials(await creds('storage'))));
    await refused(/storage speaks for search/);
  });

  it('signed by a user of another account', async () => {
    send(encodeAnnouncement(forgery(), readCredentials(await nats.foreignCredsFile('search'))));
    await refused(/another account/);
  });

  it('by a user who issued a JWT for himself in the name of the account', async () => {
    const foreign = readCredentials(await nats.foreignCredsFile('search'));
    const claims = JSON.parse(Buffer.from(foreign.jwt.split('.')[1]!, 'base64url').toString());
    const forged = Buffer.from(JSON.stringify({ ...claims, iss: searchCreds.issuer })).toString('base64url');
    const [head, , signature] = foreign.jwt.split('.');
    send(encodeAnnouncement(forgery(), { ...foreign, jwt: `${head}.${forged}.${signature}` }));
    await refused(/JWT is not valid/);
  });

  it('whose text was changed after it was signed', async () => {
    const envelope = JSON.parse(encodeAnnouncement(forgery(), searchCreds));
    const announcement = envelope.announcement.replace('forged', 'other1');
    send(JSON.stringify({ ...envelope, announcement }));
    await refused(/signature is wrong/);
  });

  it('whose contract is not the announced one', async () => {
    const stop = search.subscribe(contractSubject('search', 'forged'), {
      callback: (_error, message) => void message.respond(contractText('search').replace('documents', 'secrets')),
    });
    send(encodeAnnouncement(forgery(), searchCreds));
    await refused(/not the one announced/);
    stop.unsubscribe();
  });

  it("whose contract names another service's operations", async () => {
    const text = contractText('search').replaceAll('search.', 'compute.');
    const stop = search.subscribe(contractSubject('search', 'forged'), {
      callback: (_error, message) => void message.respond(text),
    });
    send(encodeAnnouncement(forgery({ digest: digestOf(text), sequence: 2 }), searchCreds));
    await refused(/which is not its own/);
    stop.unsubscribe();
  });

  it.each(['', 'nonsense', '{}', '{"announcement":"{}"}'])('that is malformed (%#)', async (text) => {
    send(text);
    await refused(/./);
  });

  afterAll(() => expect(names('search')).toEqual([]));
});

describe('NATS keeps a service within its permissions', () => {
  it.each([
    ["another service's operations", 'alto.rpc.gateway.>'],
    ["another service's inbox", `${inboxPrefix('gateway')}.>`],
    ['everything', '>'],
  ])('it cannot listen to %s', async (_what, subject) => {
    const connection = await intruder(await creds('search'), 'search');
    const refusal = new Promise((resolve) =>
      connection.subscribe(subject, { callback: (error) => resolve(error?.message) }),
    );
    await expect(refusal).resolves.toMatch(/Permissions Violation for Subscription/i);
    await connection.close();
  });
});
