import { type EndpointSet, newId } from '@alto/contracts';
import type { TargetReport } from '../proxy/proxy.engine';
import { routeStatus } from './route-status';

const [one, two, three] = [newId('instance'), newId('instance'), newId('instance')];
const set: EndpointSet = {
  app: newId('app'),
  appName: 'shop',
  project: newId('project'),
  projectName: 'acme',
  generation: 1,
  deleted: false,
  endpoints: [
    { instance: one, ip: '127.0.0.1', port: 20_000, state: 'ready' },
    { instance: two, ip: 'fd00::1', port: 20_001, state: 'ready' },
    { instance: three, ip: '127.0.0.1', port: 20_002, state: 'draining' },
  ],
};
const report = (endpoint: string, state: 'up' | 'down') => ({
  pool: set.app,
  endpoint,
  state,
  reason: `It is ${state}.`,
});

const ejected = new Map<string, { untilMs: number; reason: string }>();
const statusOf = (known: EndpointSet | undefined, reports: TargetReport[] = [], proxyReason = '') =>
  routeStatus({}, [{ app: 'shop', weight: 1, set: known, reports, ejected }], proxyReason);

it('explains each target', () => {
  expect(statusOf(set, [report(one, 'up'), report(two, 'down')])).toEqual({
    state: 'serving',
    reason: '1 of 3 targets get requests.',
    targets: [
      { app: 'shop', instance: one, address: '127.0.0.1:20000', state: 'ready', reason: 'It is up.' },
      { app: 'shop', instance: two, address: '[fd00::1]:20001', state: 'out', reason: 'It is down.' },
      {
        app: 'shop',
        instance: three,
        address: '127.0.0.1:20002',
        state: 'draining',
        reason: expect.stringContaining('stopped'),
      },
    ],
  });
});

it('says who is out for a while because it failed, why and until when', () => {
  const untilMs = Date.parse('2026-11-22T04:30:00Z');
  ejected.set(one, { untilMs, reason: "9 of its last 10 requests failed, and 0 of 40 of the others'" });
  const status = statusOf(set, [report(one, 'up'), report(two, 'up')]);
  ejected.clear();
  expect(status).toMatchObject({ state: 'serving', reason: '1 of 3 targets get requests.' });
  expect(status.targets[0]).toMatchObject({
    state: 'out',
    reason:
      "It gets no requests until 2026-11-22T04:30:00.000Z: 9 of its last 10 requests failed, and 0 of 40 of the others'.",
  });
});

it('says why nothing serves', () => {
  expect(statusOf(undefined)).toMatchObject({ state: 'unknown_app', targets: [] });
  expect(statusOf({ ...set, endpoints: [] })).toMatchObject({
    state: 'no_targets',
    reason: expect.stringContaining("No instance of 'shop' is ready at a port `http`."),
  });
  expect(statusOf(set, [report(one, 'down'), report(two, 'down')], 'HAProxy does not run.')).toMatchObject({
    state: 'no_targets',
    reason: expect.stringContaining('HAProxy does not run.'),
  });
});

it('explains weights of 0, apps that are missing and redirects', () => {
  const weightless = { ...set, endpoints: set.endpoints.map((endpoint) => ({ ...endpoint, weight: 0 })) };
  expect(statusOf(weightless, [report(one, 'up')]).targets[0]).toMatchObject({
    state: 'out',
    reason: expect.stringContaining('weight is 0'),
  });
  const leads = [
    { app: 'shop', weight: 1, set, reports: [report(one, 'up')], ejected },
    { app: 'gone', weight: 1, set: undefined, reports: [], ejected },
  ];
  expect(routeStatus({}, leads, '')).toMatchObject({
    state: 'serving',
    reason: expect.stringContaining("no app 'gone'"),
  });
  const redirect = { to: 'https://example.com', status: 308, keepPath: true } as const;
  expect(routeStatus({ redirect }, [], '')).toMatchObject({
    state: 'redirecting',
    reason: expect.stringContaining('https://example.com'),
  });
});
