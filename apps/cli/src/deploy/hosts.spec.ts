import type { Route } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { inWords, leadHosts, planHosts } from './hosts';

type Given = Pick<Route, 'name' | 'host'> & Partial<Route>;

/** The routes of a project, by name as the API keeps them. */
function makeRoutes(...given: Given[]) {
  const routes = new Map(given.map((route) => [route.name, { path: '/', ...route }]));
  const put: string[] = [];
  const client = {
    listAll: async function* () {
      yield* [...routes.values()];
    },
    routes: {
      put: ({ route, host, app }: { route: string; host: string; app: string }) => {
        put.push(route);
        const made = { name: route, host: host.toLowerCase(), path: '/', app };
        routes.set(route, made);
        return Promise.resolve(made);
      },
    },
  } as unknown as AltoClient;
  const plan = (app: string, ...hosts: string[]) => planHosts(client, { project: 'default', app, hosts });
  const lead = async (app: string, ...hosts: string[]) =>
    await leadHosts(client, { project: 'default', app, hosts }, await plan(app, ...hosts));
  const leads = () => Object.fromEntries([...routes.values()].map(({ host, app }) => [host, app]));
  return { plan, lead, leads, put };
}

describe('the hosts of an app', () => {
  it('have a route each, named after the host', async () => {
    const { lead, put } = makeRoutes();
    await lead('shop', 'shop.example.com', '*');
    expect(put).toEqual(['shop-example-com', 'shop-any']);
  });

  it('that would be named alike, or be too long for a name, all lead where they should', async () => {
    const { lead, leads, put } = makeRoutes();
    const long = `${'a'.repeat(50)}.example`;
    const hosts = ['shop.example.com', 'shop-example.com', 'Shop-Example-Com', `${long}.com`, `${long}.org`];
    for (const [index, host] of hosts.entries()) await lead(`app-${index}`, host);
    expect(leads()).toEqual(Object.fromEntries(hosts.map((host, index) => [host.toLowerCase(), `app-${index}`])));
    for (const name of put) expect(name).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
    expect(Math.max(...put.map((name) => name.length))).toBeLessThanOrEqual(40);
  });

  it('lead to another app once that has them in its file', async () => {
    const { lead, leads, put } = makeRoutes({ name: 'by-hand', host: 'shop.example.com', app: 'old' });
    await lead('shop', 'shop.example.com');
    expect(leads()).toEqual({ 'shop.example.com': 'shop' });
    expect(put).toEqual(['by-hand']);
  });

  it('keep what was set by hand on a route that leads to the app already', async () => {
    const { lead, put } = makeRoutes(
      { name: 'main', host: 'shop.example.com', app: 'shop' },
      {
        name: 'shares',
        host: 'try.example.com',
        apps: [
          { app: 'next', weight: 10 },
          { app: 'shop', weight: 90 },
        ],
      },
    );
    await lead('shop', 'shop.example.com', 'try.example.com');
    expect(put).toEqual([]);
  });

  it('that would change are told of, with what they lead to today', async () => {
    const { plan, put } = makeRoutes(
      { name: 'main', host: 'shop.example.com', app: 'old' },
      { name: 'mine', host: 'mine.example.com', app: 'shop' },
      { name: 'away', host: 'away.example.com', redirect: { to: 'https://new.test', status: 308, keepPath: false } },
    );
    const hosts = [
      'shop.example.com',
      'mine.example.com',
      'away.example.com',
      'new.example.com',
      'New.example.com',
      '*',
    ];
    expect((await plan('shop', ...hosts)).map((change) => inWords(change, 'shop'))).toEqual([
      'shop.example.com will lead to shop instead of old',
      'away.example.com will lead to shop instead of https://new.test',
      'New.example.com will lead to shop',
      'every host that nothing else matches will lead to shop',
    ]);
    expect(put).toEqual([]);
  });
});
