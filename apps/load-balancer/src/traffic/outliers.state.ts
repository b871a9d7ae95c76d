/**
 * Which endpoints are taken out because they fail while their siblings do not. Pure.
 *
 *     serving ──most of its answers fail, the others' do not──▶ ejected ──its time is over──▶ serving
 *
 * Each time is twice as long as the one before, up to a bound; who has served well for as long as that bound begins
 * anew. Of a pool no more than half is ever out, so that never the last one goes and that an app that fails everywhere
 * keeps all it has: its errors are then not the fault of single endpoints.
 */
import type { EndpointTraffic } from '../proxy/proxy.engine';

export interface OutlierLimits {
  /** First time out; 0 takes nobody out. */
  readonly baseMs: number;
  readonly maxMs: number;
}

/** What is judged are the answers of so long. */
export const windowMs = 10_000;
/** With fewer requests in the window nothing is said of an endpoint, nor of its siblings. */
export const requestsMin = 5;
/**
 * Whoever has had fewer in all is new: compute judges it by them, and reverts a version whose instances fail. Taken out
 * before, a bad version would be promoted unseen.
 */
export const newcomerRequests = 20;
/** An endpoint fails when so many of its requests do … */
export const failingShareMin = 0.5;
/** … and it alone when no more of its siblings' do. */
export const siblingsShareMax = 0.2;

/** The endpoints of an app that are meant to serve. */
export interface JudgedPool {
  readonly pool: string;
  readonly endpoints: readonly string[];
}

export interface Ejection {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** In words. */
  readonly reason: string;
}

export interface RememberedEjection extends Ejection {
  readonly endpoint: string;
  readonly pool: string;
  readonly times: number;
}

interface Sample {
  readonly atMs: number;
  readonly requests: number;
  readonly failures: number;
}

export interface Member {
  readonly pool: string;
  /** Sums at the looks of the window, oldest first. */
  readonly samples: readonly Sample[];
  readonly ejection: Ejection | undefined;
  /** How often in a row it was taken out. */
  readonly times: number;
  readonly servesSinceMs: number;
}

/** Endpoint → what is remembered of it. */
export type Outliers = ReadonlyMap<string, Member>;
export const noOutliers: Outliers = new Map();

export function judge(
  before: Outliers,
  pools: readonly JudgedPool[],
  traffic: readonly EndpointTraffic[],
  nowMs: number,
  limits: OutlierLimits,
): Outliers {
  const sums = new Map(traffic.map((one) => [one.endpoint, one]));
  const after = new Map<string, Member>();
  for (const { pool, endpoints } of pools) {
    const members = new Map(
      endpoints.map((id) => [id, looked(before.get(id) ?? fresh(pool, nowMs), sums.get(id), nowMs, limits)]),
    );
    release(members, nowMs);
    if (limits.baseMs > 0) eject(members, nowMs, limits);
    for (const [id, member] of members) after.set(id, member);
  }
  return after;
}

/** Endpoint → why it is out and until when. */
export function ejections(outliers: Outliers): Map<string, Ejection> {
  return new Map([...outliers].flatMap(([id, { ejection }]) => (ejection === undefined ? [] : [[id, ejection]])));
}

/** What is to be remembered when another process takes over: only who is out. */
export function restored(out: readonly RememberedEjection[], nowMs: number): Outliers {
  return new Map(
    out.map(({ endpoint, pool, times, sinceMs, untilMs, reason }) => [
      endpoint,
      { ...fresh(pool, nowMs), times, ejection: { sinceMs, untilMs, reason } },
    ]),
  );
}

export function remembered(outliers: Outliers): RememberedEjection[] {
  return [...outliers].flatMap(([endpoint, { pool, times, ejection }]) =>
    ejection === undefined ? [] : [{ endpoint, pool, times, ...ejection }],
  );
}

function fresh(pool: string, nowMs: number): Member {
  return { pool, samples: [], ejection: undefined, times: 0, servesSinceMs: nowMs };
}

/** Adds a look, and ends an ejection whose time is over. */
function looked(member: Member, sum: EndpointTraffic | undefined, nowMs: number, { maxMs }: OutlierLimits): Member {
  const { requests = 0, failures = 0 } = sum ?? {};
  const sample = { atMs: nowMs, requests, failures };
  if (member.ejection !== undefined) {
    // A clock that was set back keeps nobody out for longer than the longest time.
    if (nowMs < member.ejection.untilMs && member.ejection.untilMs - nowMs <= maxMs) return member;
    return returned(member, [sample], nowMs);
  }
  const last = member.samples.at(-1);
  const startsAnew = last !== undefined && last.requests > requests;
  const kept = startsAnew ? [] : member.samples.filter(({ atMs }) => atMs > nowMs - windowMs && atMs <= nowMs);
  const times = nowMs - member.servesSinceMs >= maxMs ? 0 : member.times;
  return { ...member, times, samples: [...kept, sample] };
}

function returned(member: Member, samples: readonly Sample[], nowMs: number): Member {
  return { ...member, samples, ejection: undefined, servesSinceMs: nowMs };
}

const outMax = (members: ReadonlyMap<string, Member>) => Math.floor(members.size / 2);
const outOf = (members: ReadonlyMap<string, Member>) =>
  [...members].filter(([, { ejection }]) => ejection !== undefined);

/** Siblings have gone meanwhile: whose time is over soonest comes back before it. */
function release(members: Map<string, Member>, nowMs: number): void {
  const out = outOf(members).sort(([, one], [, other]) => one.ejection!.untilMs - other.ejection!.untilMs);
  for (const [id, member] of out.slice(0, Math.max(0, out.length - outMax(members)))) {
    members.set(id, returned(member, [], nowMs));
  }
}

function eject(members: Map<string, Member>, nowMs: number, { baseMs, maxMs }: OutlierLimits): void {
  const worstFirst = [...members.keys()]
    .filter((id) => !isNewcomer(members.get(id)!) && isFailing(windowOf(members.get(id)!)))
    .sort((one, other) => shareOf(windowOf(members.get(other)!)) - shareOf(windowOf(members.get(one)!)));
  for (const id of worstFirst) {
    if (outOf(members).length >= outMax(members)) return;
    const member = members.get(id)!;
    const own = windowOf(member);
    const others = siblings(members, id);
    if (others.requests < requestsMin || shareOf(others) > siblingsShareMax) continue;
    const lastsMs = Math.min(maxMs, baseMs * 2 ** Math.min(member.times, 20));
    const reason = `${own.failures} of its last ${own.requests} requests failed, and ${others.failures} of ${others.requests} of the others'`;
    members.set(id, {
      ...member,
      samples: [],
      times: member.times + 1,
      ejection: { sinceMs: nowMs, untilMs: nowMs + lastsMs, reason },
    });
  }
}

function isNewcomer({ samples }: Member): boolean {
  return (samples.at(-1)?.requests ?? 0) < newcomerRequests;
}

interface Answers {
  readonly requests: number;
  readonly failures: number;
}

function windowOf({ samples }: Member): Answers {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return { requests: 0, failures: 0 };
  return { requests: last.requests - first.requests, failures: last.failures - first.failures };
}

/** What those answer that serve, failing ones included: two that fail alike do not accuse each other. */
function siblings(members: ReadonlyMap<string, Member>, id: string): Answers {
  const all = { requests: 0, failures: 0 };
  for (const [other, member] of members) {
    if (other === id || member.ejection !== undefined) continue;
    const { requests, failures } = windowOf(member);
    all.requests += requests;
    all.failures += failures;
  }
  return all;
}

const shareOf = ({ requests, failures }: Answers): number => (requests === 0 ? 0 : failures / requests);
const isFailing = (answers: Answers): boolean => answers.requests >= requestsMin && shareOf(answers) >= failingShareMin;
