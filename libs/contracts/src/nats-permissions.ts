/**
 * What each service may publish and subscribe on NATS, derived from the declarations: the subjects of the operations
 * that it serves and that it may call, its own events, announcements and nudges, and nothing else.
 */
import { allOperations } from './catalogue';
import { eventsStream } from './event';
import type { Operation, ServiceName } from './operation';

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

/** All inboxes of a service's connections lie under it, and no other service may listen there. */
export function inboxPrefix(service: string): string {
  return `_INBOX_${service}`;
}

/** Longer than any handler is given. */
const answerWithinNs = 10 * 60 * 1_000_000_000;

export function natsPermissions(
  service: ServiceName,
  operations: readonly Operation[] = allOperations,
): NatsPermissions {
  const publish = [
    ...calledSubjects(service, operations),
    announceSubject(service),
    rollCallSubject,
    'alto.contract.>',
    ...nudgeSubjects(service, 'from'),
    ...(service === 'node-agent' ? [] : [`alto.events.*.${service}.>`, ...streamSubjects()]),
    ...(service === 'gateway' ? ['$SRV.>'] : []),
  ];
  const subscribe = [
    `${inboxPrefix(service)}.>`,
    `alto.rpc.${service}.>`,
    announceSubject('*'),
    rollCallSubject,
    contractSubject(service, '*'),
    ...nudgeSubjects(service, 'to'),
    ...serviceProtocolSubjects(service),
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
function calledSubjects(service: ServiceName, operations: readonly Operation[]): string[] {
  if (service === 'gateway') return ['alto.rpc.>'];
  return operations.filter((operation) => operation.callers.includes(service)).map(subjectPattern);
}

function deniedSubjects(service: ServiceName, operations: readonly Operation[]): string[] {
  if (service !== 'gateway') return [];
  return operations
    .filter((operation) => !operation.callers.includes('gateway'))
    .map(subjectPattern)
    .sort();
}

function subjectPattern(operation: Operation): string {
  return operation.perInstance === true ? `${operation.subject}.*` : operation.subject;
}

function nudgeSubjects(service: ServiceName, side: 'from' | 'to'): string[] {
  const declared: NudgeDeclaration[] = Object.values(nudges);
  const between = declared.filter((nudge) => nudge[side].includes(service)).map((nudge) => nudge.subject);
  return [...between, `alto.nudge.${service}.>`];
}

function serviceProtocolSubjects(service: ServiceName): string[] {
  return ['PING', 'INFO', 'STATS'].flatMap((verb) => [
    `$SRV.${verb}`,
    `$SRV.${verb}.${service}`,
    `$SRV.${verb}.${service}.*`,
  ]);
}

/** JetStream's API for one stream: the relay keeps it and publishes to it, consumers read it. */
function streamSubjects(): string[] {
  const api = '$JS.API';
  return [
    `${api}.INFO`,
    `${api}.STREAM.NAMES`,
    ...['CREATE', 'UPDATE', 'INFO', 'MSG.GET'].map((verb) => `${api}.STREAM.${verb}.${eventsStream}`),
    `${api}.DIRECT.GET.${eventsStream}`,
    `${api}.DIRECT.GET.${eventsStream}.>`,
    ...['CREATE', 'DURABLE.CREATE', 'INFO', 'MSG.NEXT', 'DELETE'].map(
      (verb) => `${api}.CONSUMER.${verb}.${eventsStream}.>`,
    ),
    `${api}.CONSUMER.CREATE.${eventsStream}`,
    `${api}.CONSUMER.NAMES.${eventsStream}`,
    `${api}.CONSUMER.LIST.${eventsStream}`,
    `$JS.ACK.${eventsStream}.>`,
    `$JS.FC.${eventsStream}.>`,
  ];
}
