import { type EndpointSet, newId } from '@alto/contracts';
import { type Known, learnEndpoints, learnRoutes, nothingKnown, specOf } from './known';

const app = (name: string, project = 'acme'): EndpointSet => ({
  app: `app-${project}-${name}`,
  appName: name,
  project: `id-${project}`,
  projectName: project,
  generation: 1,
  deleted: false,
  endpoints: [{ instance: newId('instance'), ip: '127.0.0.1', port: 20_000, state: 'ready' }],
});
const learn = (known: Known, generation: number, sets: EndpointSet[], complete = false) =>
  learnEndpoints(known, { generation, complete, sets });
const hostsOf = (known: Known) =>
  Object.fromEntries(specOf(known, 'localhost').hosts.map(({ host, pool }) => [host, pool]));

it('takes the newest of each set, whatever the order they come in', () => {
  const shop = app('shop');
  let known = learn(nothingKnown('p'), 5, [{ ...shop, generation: 5, endpoints: [] }]);
  known = learn(known, 3, [{ ...shop, generation: 3 }]);
  expect(known).toMatchObject({ generation: 5, sets: [{ generation: 5, endpoints: [] }] });
  known = learn(known, 6, [{ ...shop, generation: 6, deleted: true }]);
  expect(known).toMatchObject({ generation: 6, sets: [] });
});

it('forgets what a complete answer does not hold, also when the history was set back', () => {
  let known = learn(nothingKnown('p'), 9, [app('shop'), app('blog')]);
  known = learn(known, 4, [{ ...app('shop'), generation: 4 }], true);
  expect(known).toMatchObject({ generation: 4, sets: [{ appName: 'shop', generation: 4 }] });
});

it('leads default hosts and routes to apps of the route’s own project', () => {
  let known = learn(nothingKnown('p'), 1, [app('shop'), app('blog'), app('shop', 'other')]);
  const route = (host: string, name: string) => ({ id: host, project: 'id-acme', host, app: name });
  known = learnRoutes(known, 1, [
    route('www.example.com', 'shop'),
    route('gone.example.com', 'missing'),
    route('*', 'blog'),
    route('blog.acme.localhost', 'shop'),
  ]);
  expect(hostsOf(known)).toEqual({
    'shop.acme.localhost': 'app-acme-shop',
    'blog.acme.localhost': 'app-acme-shop',
    'shop.other.localhost': 'app-other-shop',
    'www.example.com': 'app-acme-shop',
    '*': 'app-acme-blog',
  });
});

it('leads paths, several apps and redirects, and gives the share of an app that nothing serves to the others', () => {
  const empty = { ...app('empty'), endpoints: [] };
  let known = learn(nothingKnown('p'), 1, [app('shop'), app('blog'), empty]);
  const at = { project: 'id-acme', host: 'www.example.com' };
  const share = (name: string, weight: number) => ({ app: name, weight });
  const redirect = { to: '/new', status: 308, keepPath: false } as const;
  known = learnRoutes(known, 1, [
    { ...at, id: '1', app: 'shop', details: { apps: [share('shop', 9), share('blog', 1)] } },
    { ...at, id: '2', path: '/some', app: 'shop', details: { apps: [share('empty', 9), share('blog', 1)] } },
    { ...at, id: '3', path: '/old', app: '', details: { redirect } },
    { ...at, id: '4', path: '/none', app: 'missing', details: null },
  ]);
  expect(specOf(known, 'localhost').hosts.filter(({ host }) => host === at.host)).toEqual([
    {
      host: at.host,
      shares: [
        { pool: 'app-acme-shop', weight: 9 },
        { pool: 'app-acme-blog', weight: 1 },
      ],
    },
    { host: at.host, path: '/some', pool: 'app-acme-blog' },
    { host: at.host, path: '/old', redirect },
  ]);
});
