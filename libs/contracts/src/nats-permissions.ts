/**
 * What each service may publish and subscribe on NATS, derived from the declarations: the subjects of the operations
 * that it serves and that it may call, its own events, announcements and nudges, and nothing else.
 */
import { allOperations } from './catalogue';
import { eventsStream, eventSubject } from './event';
import { isAddressed, type Operation, type ServiceName } from './operation';

/** In the form of a NATS user JWT. */
export interface NatsPermissions {
  readonly pub: { readonly allow: string[]; readonly deny: string[] };
  readonly sub: { readonly allow: string[] };
  /** One answer to each request received, whatever its inbox. `ttl` in nanoseconds. */
  readonly resp: { readonly max: number; readonly ttl: number };
}

interface NudgeDeclaration {
  readonly subject: string;
  readonly from: readonly ServiceName[];
  readonly to: readonly ServiceName[];
}

/** Nudges between services: "ask again, something has changed". A service may also nudge its own other instances. */
export const nudges = {
  node: { subject: 'alto.nudge.node.*', from: ['compute'], to: ['node-agent'] },
  proxy: { subject: 'alto.nudge.proxy.*', from: ['compute', 'load-balancer'], to: ['load-balancer'] },
} as const satisfies Record<string, NudgeDeclaration>;

/** Asks every service to announce itself now. */
export const rollCallSubject = 'alto.rollcall';

export function announceSubject(service: string): string {
  return `alto.announce.${service}`;
}

/** Asks one instance for its full contract. */
export function contractSubject(service: string, instance: string): string {
  return `alto.contract.${service}.${instance}`;
}

/** All inboxes of a service's connections lie under it, and no other service, nor another node, may listen there. */
export function inboxPrefix(service: string, node?: string): string {
  return node === undefined ? `_INBOX_${service}` : `_INBOX_${service}.${node}`;
}

/** Longer than any handler is given. */
const answerWithinNs = 10 * 60 * 1_000_000_000;

/** Services that look for others: for routes, and for who writes to the same disk. */
const directoryReaders: readonly ServiceName[] = ['gateway', 'storage'];

export interface PermissionOptions {
  /** All unless given. */
  readonly operations?: readonly Operation[];
  /** Id of the machine that an agent's credentials are for: they are good for nothing that belongs to another one. */
  readonly node?: string;
}

export function natsPermissions(service: ServiceName, options: PermissionOptions = {}): NatsPermissions {
  const { operations = allOperations, node } = options;
  if ((service === 'node-agent') !== (node !== undefined))
    throw new Error(`${service}: a node has agents, and only they`);
  const publish = [
    ...calledSubjects(service, operations, node),
    announceSubject(service),
    ...nudgeSubjects(service, 'from', node),
    ...(directoryReaders.includes(service) ? [rollCallSubject, contractSubject('*', '*')] : []),
    ...(service === 'node-agent' ? [] : [`alto.events.*.${service}.>`, ...relaySubjects]),
    ...(service === 'gateway' ? ['$SRV.>'] : []),
    ...(service === eventsStreamMaker ? eventReaderSubjects : []),
  ];
  const subscribe = [
    `${inboxPrefix(service, node)}.>`,
    ...servedSubjects(service, operations, node),
    ...(directoryReaders.includes(service) ? [announceSubject('*')] : []),
    rollCallSubject,
    contractSubject(service, node ?? '*'),
    ...nudgeSubjects(service, 'to', node),
    ...serviceProtocolSubjects(service, node),
  ];
  return {
    pub: { allow: publish.sort(), deny: deniedSubjects(service, operations) },
    sub: { allow: subscribe.sort() },
    resp: { max: 1, ttl: answerWithinNs },
  };
}

/**
 * The gateway learns operations at run time, also ones that this version of the contracts does not know: it may call
 * all of them but those that are between services.
 */
function calledSubjects(service: ServiceName, operations: readonly Operation[], node: string | undefined): string[] {
  if (service === 'gateway') return ['alto.rpc.>'];
  return operations
    .filter((operation) => operation.callers.includes(service))
    .map((operation) => subjectPattern(operation, operation.callerField === undefined ? undefined : node));
}

function deniedSubjects(service: ServiceName, operations: readonly Operation[]): string[] {
  if (service !== 'gateway') return [];
  return operations
    .filter((operation) => !operation.callers.includes('gateway'))
    .map((operation) => subjectPattern(operation))
    .sort();
}

/** A newer version of a service may serve what this one does not know; an agent serves what is addressed to its node. */
function servedSubjects(service: ServiceName, operations: readonly Operation[], node: string | undefined): string[] {
  if (node === undefined) return [`alto.rpc.${service}.>`];
  return operations
    .filter((operation) => operation.service === service)
    .map((operation) => subjectPattern(operation, node));
}

function subjectPattern(operation: Operation, addressee = '*'): string {
  return isAddressed(operation) ? `${operation.subject}.${addressee}` : operation.subject;
}

function nudgeSubjects(service: ServiceName, side: 'from' | 'to', node: string | undefined): string[] {
  const declared: NudgeDeclaration[] = Object.values(nudges);
  const between = declared.filter((nudge) => nudge[side].includes(service)).map((nudge) => nudge.subject);
  if (node !== undefined) return between.map((subject) => subject.replace('*', node));
  return [...between, `alto.nudge.${service}.>`];
}

function serviceProtocolSubjects(service: ServiceName, node: string | undefined): string[] {
  return ['PING', 'INFO', 'STATS'].flatMap((verb) => [
    `$SRV.${verb}`,
    `$SRV.${verb}.${service}`,
    `$SRV.${verb}.${service}.${node ?? '*'}`,
  ]);
}

const streamApi = (verb: string) => `$JS.API.${verb}.${eventsStream}`;

/** What a relay asks the stream that it publishes to: which one it is, and whether it still holds what it acknowledged. */
const relaySubjects = [streamApi('STREAM.INFO'), streamApi('STREAM.MSG.GET')];

/**
 * The gateway reads the stream for event streams over HTTP, and makes it where there is none. Nobody may change it:
 * who can could have it take in any subject, and so read what is not its own.
 */
const eventReaderSubjects = [
  streamApi('STREAM.CREATE'),
  streamApi('CONSUMER.CREATE'),
  ...['CREATE', 'INFO', 'MSG.NEXT', 'DELETE'].map((verb) => `${streamApi(`CONSUMER.${verb}`)}.>`),
];

/** Who makes the stream of events where there is none; the others wait for it. */
export const eventsStreamMaker: ServiceName = 'gateway';

/** Subjects with all events of a project. */
export function projectEvents(project: string): string {
  return eventSubject('>', project);
}

/**
 * What credentials of a project's subscriber are good for: a scoped signing key in NATS carries it as a template, in which
 * the user's name is the project. So whoever holds that key can make nothing but readers of events.
 */
export const subscriberTemplate = {
  role: 'subscriber',
  pub: { deny: ['>'] },
  sub: { allow: [projectEvents('{{name()}}')] },
  /** Subscriptions at a time. */
  subs: 100,
};

/** What the account of Alto's services lets other accounts hear. */
export const exportedEvents = { name: 'events', subject: eventSubject('>', '*'), type: 'stream' } as const;

/** Of all connections that NATS takes, so that subscribers leave some to the services. */
const subscriberConnectionsMax = 500;

/**
 * Subscribers have an account of their own, apart from the services': it hears events and has nothing else. So it can
 * be replaced while NATS runs, as is done to end a subscriber, by one who has no say in the services' account.
 * @param services public key of the services' account
 */
export function subscriberAccount(services: string) {
  return {
    limits: {
      ...{ conn: subscriberConnectionsMax, subs: -1, data: -1, payload: -1 },
      ...{ imports: -1, exports: 0, wildcards: false, leaf: 0 },
    },
    imports: [{ ...exportedEvents, account: services }],
  };
}

/** Subjects in NATS's system account at which an account's claims are read and replaced. */
export function accountClaims(account: string): { lookup: string; update: string } {
  const subject = (verb: string) => `$SYS.REQ.ACCOUNT.${account}.CLAIMS.${verb}`;
  return { lookup: subject('LOOKUP'), update: subject('UPDATE') };
}

/** What a gateway may do in the system account: read and replace the claims of the subscribers' account, of no other. */
export function subscriberKeeperPermissions(account: string): NatsPermissions {
  const { lookup, update } = accountClaims(account);
  return {
    pub: { allow: [lookup, update], deny: [] },
    sub: { allow: [`${inboxPrefix('gateway')}.>`] },
    resp: { max: 1, ttl: answerWithinNs },
  };
}
