/** Which operations are routed, from what live instances announce and from what was known before: pure. */
import type { ServiceName } from '@alto/contracts';
import { type LearnedOperation, pathFieldsOf } from './learned-operation';

/** What one instance of a service can do. */
export interface Contract {
  service: ServiceName;
  version: string;
  operations: readonly LearnedOperation[];
}

export type RouteTable = ReadonlyMap<ServiceName, readonly LearnedOperation[]>;

/**
 * The routes of each service that has live instances are the union of what these offer, so that an operation new in
 * the next version is reachable as soon as one instance has it; of several definitions the newest version's counts.
 * Conditions and trials are taken only where every instance keeps them: any of them may be the one that serves.
 * A service without live instances keeps its routes: requests for it get 503, not 404.
 */
export function learn(known: RouteTable, live: readonly Contract[]): RouteTable {
  const table = new Map(known);
  for (const service of new Set(live.map((contract) => contract.service))) {
    const contracts = live.filter((contract) => contract.service === service);
    contracts.sort((a, b) => compareVersions(b.version, a.version));
    const operations = new Map<string, LearnedOperation>();
    for (const operation of contracts.flatMap((contract) => contract.operations)) {
      const key = `${operation.name} v${operation.version}`;
      const newer = operations.get(key);
      operations.set(key, newer === undefined ? operation : withTermsOf(newer, operation));
    }
    table.set(
      service,
      [...operations.values()].sort((a, b) => order(a.name, b.name) || b.version - a.version),
    );
  }
  return table;
}

function withTermsOf(newer: LearnedOperation, older: LearnedOperation): LearnedOperation {
  const { precondition, dryRun, ...rest } = newer;
  return {
    ...rest,
    ...(precondition !== undefined && older.precondition !== undefined && { precondition }),
    ...(dryRun === true && older.dryRun === true && { dryRun }),
  };
}

export interface Claim {
  operation: LearnedOperation;
  /** The service that holds the route. */
  owner: ServiceName;
}

/**
 * One operation for each method and path. The gateway's own come first, then whoever had the route before: no service
 * can take over a route by announcing it as well.
 */
export function settleRoutes(
  table: RouteTable,
  before: readonly LearnedOperation[],
): { routes: LearnedOperation[]; refused: Claim[] } {
  const owners = new Map(before.map((operation) => [routeKey(operation), operation.service]));
  const routes = new Map<string, LearnedOperation>();
  const refused: Claim[] = [];
  const rank = (operation: LearnedOperation) =>
    operation.service === 'gateway' ? 0 : owners.get(routeKey(operation)) === operation.service ? 1 : 2;
  const operations = [...table.values()]
    .flat()
    .sort((a, b) => rank(a) - rank(b) || order(a.name, b.name) || b.version - a.version);
  for (const operation of operations) {
    const holder = routes.get(routeKey(operation));
    if (!holder) routes.set(routeKey(operation), operation);
    else if (holder.service !== operation.service) refused.push({ operation, owner: holder.service });
  }
  return { routes: [...routes.values()], refused };
}

/** The same for templates that differ in the names of their parameters only. */
function routeKey(operation: LearnedOperation): string {
  let path = operation.http.path;
  for (const field of pathFieldsOf(operation)) path = path.replace(`{${field}}`, '{}');
  return `${operation.http.method} ${path}`;
}

/** By the numbers of a version, so that 0.10.0 is newer than 0.9.1. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [numbersOf(left), numbersOf(right)];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return order(left, right);
}

function numbersOf(version: string): number[] {
  return Array.from(version.matchAll(/\d+/g), ([digits]) => Number(digits));
}

function order(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
