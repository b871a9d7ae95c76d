/**
 * Golden text: in configuration.golden.txt stands a spec in JSON, a line of dashes, and the files that come of it: haproxy.cfg and the maps,
 * of that of splits the beginning. After
 * a change that is meant, run with ALTO_UPDATE_GOLDEN=1 and read the difference.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { ProxySpec } from '../proxy/proxy.engine';
import { type HaproxySettings, render } from './configuration';
import { arrange, emptyLayout, type Layout } from './layout';

const golden = new URL('configuration.golden.txt', import.meta.url);
const separator = '\n----------\n';

interface Input {
  readonly settings: HaproxySettings;
  /** Applied one after the other. */
  readonly specs: readonly ProxySpec[];
}

/** Three backends, so that a person can read all of it. */
const shortLayout: Layout = { ...emptyLayout, backends: emptyLayout.backends.slice(0, 3) };

function renderAll({ settings, specs }: Input): string {
  let layout = shortLayout;
  for (const spec of specs) ({ layout } = arrange(layout, spec, () => false));
  const { text, maps } = render(settings, layout);
  return [text, maps.routes, maps.splits.split('\n').slice(0, 10).join('\n'), maps.headers].join(separator);
}

it('renders what the golden file shows', () => {
  const [input = '', ...expected] = readFileSync(golden, 'utf8').split(separator);
  const rendered = renderAll(JSON.parse(input) as Input);
  if (process.env['ALTO_UPDATE_GOLDEN'] === '1') writeFileSync(golden, `${input}${separator}${rendered}`);
  else expect(rendered).toBe(expected.join(separator));
});

const settings: HaproxySettings = {
  host: '*',
  apps: { name: 'apps', port: 8080 },
  services: [],
  adminSocket: '/run/admin.sock',
  frontStateFile: '/state/front.state',
  connectionsMax: 1_000,
  connectionsPerAddressMax: 500,
  threads: 1,
  serverTimeoutMs: 60_000,
  streamTimeoutMs: 3_600_000,
  slowStartMs: 0,
  accessLog: false,
};
const structureOf = (layout: Layout, changed: Partial<HaproxySettings> = {}) =>
  render({ ...settings, ...changed }, layout).structure;
const layoutOf = (endpoints: number) => {
  const all = Array.from({ length: endpoints }, (_, n) => ({
    id: `i${n}`,
    address: '127.0.0.1',
    port: 20_000 + n,
    state: 'ready' as const,
  }));
  return arrange(
    shortLayout,
    { pools: [{ id: 'a', endpoints: all }], hosts: [{ host: 'a.test', pool: 'a' }] },
    () => false,
  ).layout;
};

it('keeps its structure through every change of apps, instances and hosts, so that none needs a reload', () => {
  expect(structureOf(layoutOf(0))).toBe(structureOf(shortLayout));
  expect(structureOf(layoutOf(16))).toBe(structureOf(shortLayout));
});

it('changes its structure with the number of places and with the settings', () => {
  expect(structureOf(layoutOf(17))).not.toBe(structureOf(shortLayout));
  expect(structureOf(shortLayout, { connectionsMax: 2_000 })).not.toBe(structureOf(shortLayout));
});

it('logs every request only where that is wanted', () => {
  const textOf = (accessLog: boolean) => render({ ...settings, accessLog }, shortLayout).text;
  expect(textOf(true)).toContain('  no option dontlog-normal\n');
  expect(textOf(false)).not.toContain('no option dontlog-normal');
});

it('writes IPv6 addresses in brackets and quotes paths', () => {
  const endpoint = { id: 'i', address: 'fd00::1', port: 80, state: 'ready' as const };
  const { layout } = arrange(shortLayout, { pools: [{ id: 'a', endpoints: [endpoint] }], hosts: [] }, () => false);
  const { text } = render({ ...settings, host: '::1', adminSocket: "/it's/admin.sock" }, layout);
  expect(text).toContain('server s1 [fd00::1]:80\n');
  expect(text).toContain('bind "${ALTO_SOCKET_8080-[::1]:8080}"\n');
  expect(text).toContain(`stats socket '/it'\\''s/admin.sock'`);
});
