/**
 * The credentials of each service, tried on a real NATS on every subject that there is: those of all operations, events,
 * nudges, inboxes, JetStream's API and NATS's own. What the contracts do not give it is refused. An operation that is
 * added is tried without a line here.
 */
import {
  allEvents,
  allOperations,
  announceSubject,
  computeOperations,
  contractSubject,
  eventsStream,
  eventSubject,
  inboxPrefix,
  isAddressed,
  natsPermissions,
  nudges,
  type Operation,
  rollCallSubject,
  type ServiceName,
  serviceNames,
  subjectOf,
} from '@alto/contracts';
import {
  controllerOf,
  type NatsServer,
  type RunningTransport,
  startClient,
  startNats,
  startTransport,
} from '@alto/testing';
import { connect, credsAuthenticator, type NatsConnection, PermissionViolationError } from '@nats-io/transport-node';
import { readFileSync } from 'node:fs';

const { sync } = computeOperations.nodes;
const [ownNode, otherNode] = ['node_own', 'node_other'];
const nodeOf = (service: ServiceName) => (service === 'node-agent' ? ownNode : undefined);

let nats: NatsServer;

const creds = (service: ServiceName, node = nodeOf(service)) =>
  nats.credsFile(
    service,
    natsPermissions(service, { ...(node !== undefined && { node }) }),
    `${service}-${node ?? ''}`,
  );

beforeAll(async () => {
  nats = await startNats({ secured: true });
});

afterAll(async () => {
  await nats.stop();
});

type Rule = (service: ServiceName) => boolean;

/** A subject, and who may publish on it and listen there; left out, nobody may. */
interface Tried {
  readonly subject: string;
  readonly publish?: Rule;
  readonly subscribe?: Rule;
}

const is =
  (...names: readonly ServiceName[]): Rule =>
  (service) =>
    names.includes(service);

function ofOperation(operation: Operation): Tried[] {
  const { service, callers, callerField, perInstance } = operation;
  if (!isAddressed(operation)) return [{ subject: operation.subject, publish: is(...callers), subscribe: is(service) }];
  return [ownNode, otherNode].map((node) => ({
    subject: subjectOf(operation, node),
    publish: (one) => callers.includes(one) && !(callerField !== undefined && one === 'node-agent' && node !== ownNode),
    subscribe: (one) => one === service && !(perInstance === true && one === 'node-agent' && node !== ownNode),
  }));
}

function ofService(name: ServiceName): Tried[] {
  const finders = is('gateway', 'storage');
  const instance = nodeOf(name) ?? 'any';
  return [
    { subject: announceSubject(name), publish: is(name), subscribe: finders },
    { subject: contractSubject(name, instance), publish: finders, subscribe: is(name) },
    { subject: `alto.nudge.${name}.any`, ...(name !== 'node-agent' && { publish: is(name), subscribe: is(name) }) },
    { subject: `${inboxPrefix(name, nodeOf(name))}.any.1`, subscribe: is(name) },
    { subject: `${inboxPrefix(name)}.>`, ...(name !== 'node-agent' && { subscribe: is(name) }) },
    { subject: `$SRV.INFO.${name}.${instance}`, publish: is('gateway'), subscribe: is(name) },
  ];
}

const ofNudges: Tried[] = Object.values(nudges).flatMap(({ subject, from, to }) =>
  [ownNode, otherNode].map((node) => ({
    subject: subject.replace('*', node),
    publish: is(...from),
    subscribe: (one: ServiceName) => is(...to)(one) && !(one === 'node-agent' && node !== ownNode),
  })),
);

const ofEvents: Tried[] = allEvents.map(({ type, service }) => ({
  subject: eventSubject(type, 'prj_any'),
  publish: is(service),
}));

const relays: Rule = (service) => service !== 'node-agent';
const api = (verb: string, more: Omit<Tried, 'subject'> = {}): Tried => ({ subject: `$JS.API.${verb}`, ...more });
const ofJetStream: Tried[] = [
  api(`STREAM.INFO.${eventsStream}`, { publish: relays }),
  api(`STREAM.MSG.GET.${eventsStream}`, { publish: relays }),
  ...[`STREAM.CREATE.${eventsStream}`, `CONSUMER.CREATE.${eventsStream}`, `CONSUMER.INFO.${eventsStream}.any`].map(
    (verb) => api(verb, { publish: is('gateway') }),
  ),
  ...['UPDATE', 'DELETE', 'PURGE', 'MSG.DELETE', 'RESTORE', 'SNAPSHOT'].map((verb) =>
    api(`STREAM.${verb}.${eventsStream}`),
  ),
  ...['CREATE', 'INFO', 'UPDATE', 'MSG.GET'].map((verb) => api(`STREAM.${verb}.OTHER`)),
  api('CONSUMER.CREATE.OTHER'),
  api('ACCOUNT.PURGE.any'),
  api('STREAM.LIST'),
];

const ofNats: Tried[] = [
  { subject: rollCallSubject, publish: is('gateway', 'storage'), subscribe: () => true },
  ...[
    '_INBOX.any',
    '_INBOX.>',
    '_INBOX_node-agent.node_other.any',
    '_INBOX_node-agent.node_other.>',
    '*',
    '>',
    'alto.>',
  ],
  ...['*.>', 'alto.rpc.>', 'alto.rpc.*.*.>', 'alto.events.>', 'alto.nudge.>', 'alto.contract.>', '$JS.>', '$SYS.>'],
  ...['$SYS.REQ.SERVER.PING', '$SYS.REQ.ACCOUNT.any.CONNZ', '$JS.EVENT.>', '$KV.any.any', 'anything.else'],
].map((tried) => (typeof tried === 'string' ? { subject: tried } : tried));

const everything: Tried[] = [
  ...allOperations.flatMap(ofOperation),
  ...serviceNames.flatMap(ofService),
  ...[...ofNudges, ...ofEvents, ...ofJetStream, ...ofNats],
];

async function connectAs(service: ServiceName): Promise<NatsConnection> {
  return connect({
    servers: nats.url,
    inboxPrefix: inboxPrefix(service, nodeOf(service)),
    authenticator: credsAuthenticator(readFileSync(await creds(service))),
  });
}

describe.each(serviceNames)('%s', (service) => {
  /** What the server has refused, of all that was tried. */
  async function refused(operation: 'publish' | 'subscription', subjects: readonly string[]): Promise<string[]> {
    const connection = await connectAs(service);
    const found = new Set<string>();
    const listening = (async () => {
      for await (const status of connection.status()) {
        if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) continue;
        if (status.error.operation === operation) found.add(status.error.subject);
      }
    })();
    for (const subject of subjects) {
      if (operation === 'publish') connection.publish(subject);
      else connection.subscribe(subject, { callback: () => undefined });
    }
    // The server has answered all of it, refusals first.
    await connection.flush();
    await connection.close();
    await listening;
    return [...found].sort();
  }

  it('can publish what is its own and nothing else', async () => {
    const plain = everything.filter(({ subject }) => !/[*>]/.test(subject));
    const expected = plain.filter(({ publish }) => publish?.(service) !== true).map(({ subject }) => subject);
    const all = plain.map(({ subject }) => subject);
    expect(await refused('publish', all)).toEqual([...new Set(expected)].sort());
  });

  it('can listen to what is its own and nothing else', async () => {
    const expected = everything.filter(({ subscribe }) => subscribe?.(service) !== true).map(({ subject }) => subject);
    const all = everything.map(({ subject }) => subject);
    expect(await refused('subscription', all)).toEqual([...new Set(expected)].sort());
  });
});

describe('the agent of a node', () => {
  let compute: RunningTransport;
  const report = (node: string) => ({
    ...{ node, name: node, agentVersion: '1', capacity: { cpuMillis: 100, memoryBytes: 2 ** 30 } },
    ...{ seenGeneration: 0, instances: [] },
  });

  beforeAll(async () => {
    const controllers = [controllerOf(sync, () => ({ generation: 1, fencingToken: 1, instances: [] }))];
    compute = await startTransport({
      url: nats.url,
      service: 'compute',
      credsFile: await creds('compute'),
      controllers,
    });
  });

  afterAll(async () => {
    await compute.stop();
  });

  it('reports for its own node, and cannot for another', async () => {
    const agent = await startClient(nats.url, 'node-agent', await creds('node-agent'), ownNode);
    await expect(agent.client.call(sync, report(ownNode))).resolves.toMatchObject({ generation: 1 });
    await expect(agent.client.call(sync, report(otherNode))).rejects.toMatchObject({ code: 'forbidden' });
    await agent.stop();
  });

  it('cannot say another node in a report that it sends as itself', async () => {
    const connection = await connectAs('node-agent');
    const answer = await connection.request(subjectOf(sync, ownNode), JSON.stringify(report(otherNode)));
    expect(answer.json()).toMatchObject({ code: 'forbidden', field: 'node' });
    await connection.close();
  });
});
