import type { HeaderRules, ProxySpec } from '../proxy/proxy.engine';
import { headerNamesMax, headerNamesOf, mapsOf, noHeaderNames, splitParts, spread } from './maps';

const placeOf = new Map([
  ['a', 0],
  ['b', 1],
]);
const maps = (...hosts: ProxySpec['hosts']) => mapsOf({ pools: [], hosts }, placeOf);
const rules = (set: Record<string, string>, remove: string[] = []): HeaderRules => ({
  request: { set, remove },
  response: { set: {}, remove: [] },
});

it('ends every key in a slash, so that only whole segments match', () => {
  const { routes } = maps(
    { host: 'a.test', pool: 'a' },
    { host: 'a.test', path: '/api', pool: 'b' },
    { host: 'a.test', path: '/docs/', pool: 'b' },
    { host: 'b.test', pool: 'missing' },
  );
  expect(routes).toEqual({ 'a.test/': 'app_0', 'a.test/api/': 'app_1', 'a.test/docs/': 'app_1' });
});

it('keeps what people wrote away from the syntax of maps and commands', () => {
  const { routes, headers } = maps({
    host: 'a.test',
    redirect: { status: 302, to: 'https://b.test/;add map x', keepPath: false },
    headers: rules({ 'x-a': 'one; two | "three" \\' }, ['x-b']),
  });
  for (const text of [...Object.entries(routes), ...Object.entries(headers)].flat()) {
    expect(text).toMatch(/^[A-Za-z0-9._:/+=|*-]+$/);
  }
  expect(routes['a.test/']).toMatch(/^\|redirect_302\|[0-9a-f]{16}\|aHR0cHM/);
  expect(Object.values(headers).sort()).toEqual(['*', Buffer.from('one; two | "three" \\').toString('base64')].sort());
});

it('gives each share its parts, mixed', () => {
  const parts = spread([
    { pool: 'a', weight: 2 },
    { pool: 'b', weight: 1 },
    { pool: 'c', weight: 1 },
  ]);
  expect(parts).toHaveLength(splitParts);
  const count = (pool: string) => parts.filter((part) => part === pool).length;
  expect([count('a'), count('b'), count('c')]).toEqual([50, 25, 25]);
  expect(new Set(parts.slice(0, 4))).toEqual(new Set(['a', 'b', 'c']));
});

it('marks every route that is more than one app, so that no other is asked further', () => {
  const { routes } = maps(
    { host: 'a.test', pool: 'a' },
    { host: 'b.test', pool: 'a', headers: rules({ 'x-a': 'one' }) },
    {
      host: 'c.test',
      shares: [
        { pool: 'a', weight: 1 },
        { pool: 'b', weight: 1 },
      ],
    },
    { host: 'd.test', redirect: { status: 301, to: '/', keepPath: true } },
  );
  expect(Object.entries(routes).map(([host, value]) => [host, value.replaceAll(/[0-9a-f]{16}/g, 'id')])).toEqual([
    ['a.test/', 'app_0'],
    ['b.test/', '|app_0|id'],
    ['c.test/', '|split_id'],
    ['d.test/', '|redirect_301_keep||Lw=='],
  ]);
});

it('needs no split where one pool is left', () => {
  const { routes, splits } = maps({
    host: 'a.test',
    shares: [
      { pool: 'a', weight: 0 },
      { pool: 'b', weight: 5 },
      { pool: 'missing', weight: 5 },
    ],
  });
  expect([routes, splits]).toEqual([{ 'a.test/': 'app_1' }, {}]);
});

describe('names of headers', () => {
  const spec = (...names: string[]): ProxySpec => ({
    pools: [],
    hosts: [{ host: 'a.test', pool: 'a', headers: rules(Object.fromEntries(names.map((name) => [name, 'x']))) }],
  });

  it('stay when they are not used any more, so that nothing is reloaded', () => {
    const { names } = headerNamesOf(noHeaderNames, spec('x-b', 'x-a'));
    expect(names).toEqual({ request: ['x-a', 'x-b'], response: [] });
    expect(headerNamesOf(names, spec()).names).toEqual(names);
  });

  it('make place for others when all places are taken, and what finds none is said', () => {
    const many = Array.from({ length: headerNamesMax }, (_, number) => `x-${100 + number}`);
    const { names } = headerNamesOf(noHeaderNames, spec(...many));
    expect(headerNamesOf(names, spec('x-new'))).toEqual({ names: { request: ['x-new'], response: [] }, unplaced: [] });
    expect(headerNamesOf(names, spec(...many, 'x-zzz')).unplaced).toEqual([expect.stringContaining('x-zzz')]);
  });
});
