/** The permissions generated from the contracts, on a NATS that enforces them. */
import {
  computeOperations,
  eventsStream,
  eventSubject,
  inboxPrefix,
  natsPermissions,
  nudges,
  type ServiceName,
} from '@alto/contracts';
import {
  controllerOf,
  eventually,
  type NatsServer,
  type RunningTransport,
  startClient,
  startNats,
  startTransport,
} from '@alto/testing';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { readFileSync } from 'node:fs';

const { sync } = computeOperations.proxies;
const state = { generation: 1, complete: true, sets: [] };

let nats: NatsServer;
let compute: RunningTransport;

const creds = (service: ServiceName) => nats.credsFile(service, natsPermissions(service));

beforeAll(async () => {
  nats = await startNats({ secured: true });
  const credsFile = await creds('compute');
  compute = await startTransport({
    url: nats.url,
    service: 'compute',
    credsFile,
    controllers: [controllerOf(sync, () => state)],
  });
});

afterAll(async () => {
  await compute.stop();
  await nats.stop();
});

async function connectAs(service: ServiceName): Promise<NatsConnection> {
  return connect({
    servers: nats.url,
    inboxPrefix: inboxPrefix(service),
    authenticator: credsAuthenticator(readFileSync(await creds(service))),
  });
}

it('a declared caller calls an operation and gets its answer', async () => {
  const loadBalancer = await startClient(nats.url, 'load-balancer', await creds('load-balancer'));
  const answer = loadBalancer.client.call(sync, { proxy: 'prx_1', appliedGeneration: 0 });
  await expect(answer).resolves.toEqual(state);
  await loadBalancer.stop();
});

it.each(['search', 'gateway'] as const)('%s cannot call an operation between other services', async (service) => {
  const stranger = await startClient(nats.url, service, await creds(service));
  const call = stranger.client.call(sync, { proxy: 'prx_1', appliedGeneration: 0 });
  await expect(call).rejects.toMatchObject({ code: 'forbidden' });
  await stranger.stop();
});

it('nudges reach those they are meant for', async () => {
  const loadBalancer = await startClient(nats.url, 'load-balancer', await creds('load-balancer'));
  const subject = nudges.proxy.subject.replace('*', 'prx_1');
  const received: unknown[] = [];
  loadBalancer.client.subscribe(subject, (data) => void received.push(data));
  await loadBalancer.bus.flush();
  const sender = await startClient(nats.url, 'compute', await creds('compute'));
  sender.client.publish(subject);
  await eventually(() => expect(received).toEqual([null]));
  await Promise.all([sender.stop(), loadBalancer.stop()]);
});

it('a service publishes its own events to the stream that the gateway has made, and the gateway follows them', async () => {
  const [relay, gateway] = [await connectAs('compute'), await connectAs('gateway')];
  await (
    await jetstreamManager(gateway, { checkAPI: false })
  ).streams.add({
    name: eventsStream,
    subjects: ['alto.events.>'],
  });
  const manager = await jetstreamManager(relay, { checkAPI: false });
  const own = eventSubject('compute.apps.created', 'prj_1');
  const ack = await jetstream(relay).publish(own, '{}', { msgID: 'evt_1' });
  expect((await manager.streams.getMessage(eventsStream, { seq: ack.seq }))?.subject).toBe(own);

  const consumer = await jetstream(gateway).consumers.get(eventsStream, { filter_subjects: 'alto.events.prj_1.>' });
  const message = await consumer.next({ expires: 5_000 });
  expect(message?.subject).toBe(own);
  const foreign = jetstream(relay, { timeout: 500 }).publish(eventSubject('storage.bundles.created', 'prj_1'), '{}');
  await expect(foreign).rejects.toThrow();
  await Promise.all([relay.close(), gateway.close()]);
});
