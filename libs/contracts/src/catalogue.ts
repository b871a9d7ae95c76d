/** Every operation and event of Alto in one list each. */
import type { EventType } from './event';
import type { Operation, ServiceName } from './operation';
import { computeOperations } from './services/compute';
import { computeEvents } from './services/compute-events';
import { gatewayEvents, gatewayOperations } from './services/gateway';
import { loadBalancerEvents, loadBalancerOperations } from './services/load-balancer';
import { nodeAgentOperations } from './services/node-agent';
import { notificationsEvents, notificationsOperations } from './services/notifications';
import { searchEvents, searchOperations } from './services/search';
import { masterKeyOperations, secretEvents, secretOperations } from './services/secrets';
import { storageEvents, storageOperations } from './services/storage';

/** Operations by service, noun and verb, as the sdk offers them. */
export const operations = {
  gateway: gatewayOperations,
  compute: { ...computeOperations, secrets: secretOperations, masterkeys: masterKeyOperations },
  nodeAgent: nodeAgentOperations,
  storage: storageOperations,
  loadBalancer: loadBalancerOperations,
  notifications: notificationsOperations,
  search: searchOperations,
};

export const allOperations: readonly Operation[] = Object.values(operations).flatMap((nouns) =>
  Object.values(nouns).flatMap((verbs) => Object.values<Operation>(verbs)),
);

export const allEvents: readonly EventType[] = [
  gatewayEvents,
  computeEvents,
  secretEvents,
  storageEvents,
  loadBalancerEvents,
  notificationsEvents,
  searchEvents,
].flatMap((events) => Object.values<EventType>(events));

export function operationsOf(service: ServiceName): readonly Operation[] {
  return allOperations.filter((operation) => operation.service === service);
}
