import { type EndpointSet, newId } from '@alto/contracts';
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

it('explains each target', () => {
  expect(routeStatus('shop', set, [report(one, 'up'), report(two, 'down')], '')).toEqual({
    state: 'serving',
    reason: '1 of 3 targets get requests.',
    targets: [
      { instance: one, address: '127.0.0.1:20000', state: 'ready', reason: 'It is up.' },
      { instance: two, address: '[fd00::1]:20001', state: 'out', reason: 'It is down.' },
      { instance: three, address: '127.0.0.1:20002', state: 'draining', reason: expect.stringContaining('stopped') },
    ],
  });
});

it('says why nothing serves', () => {
  expect(routeStatus('shop', undefined, [], '')).toMatchObject({ state: 'unknown_app', targets: [] });
  expect(routeStatus('shop', { ...set, endpoints: [] }, [], '')).toMatchObject({
    state: 'no_targets',
    reason: expect.stringContaining("No instance of 'shop' is ready"),
  });
  expect(routeStatus('shop', set, [report(one, 'down'), report(two, 'down')], 'HAProxy does not run.')).toMatchObject({
    state: 'no_targets',
    reason: expect.stringContaining('HAProxy does not run.'),
  });
});
