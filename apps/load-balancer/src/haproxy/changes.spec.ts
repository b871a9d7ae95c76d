import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import type { Pool, ProxySpec } from '../proxy/proxy.engine';
import { runtimeCommands, type RuntimeView } from './changes';
import { arrange, emptyLayout, type Layout, type Unused } from './layout';
import { mapFiles, splitParts } from './maps';
import { backendName, slotName } from './place-names';
import type { RuntimeSlot } from './runtime-state';

/** What a running HAProxy would be after the commands: the part of it that they concern. */
class ModelHaproxy {
  readonly servers = new Map<string, Map<string, RuntimeSlot>>();
  readonly maps = {
    routes: new Map<string, string[]>(),
    splits: new Map<string, string[]>(),
    headers: new Map<string, string[]>(),
  };
  /** Called after each command. */
  watch: () => void = () => {};

  constructor(backends: number, slots: number) {
    for (let number = 0; number < backends; number++) {
      const free = Array.from({ length: slots }, (_, index) => [slotName(index), freeSlot] as const);
      this.servers.set(backendName(number), new Map(free));
    }
  }

  get view(): RuntimeView {
    return { servers: this.servers, maps: this.maps };
  }

  run(command: string): void {
    const [verb, what, target = '', ...rest] = command.split(' ');
    if (what === 'server') this.setServer(target, rest);
    else this.setMap(verb!, target, rest);
    this.watch();
  }

  /** Addresses that serve a host. */
  serving(host: string): number[] {
    const [route = ''] = this.maps.routes.get(`${host}/`) ?? [];
    const lead = route.replace(/^\|/, '');
    const parts = Array.from({ length: splitParts }, (_, part) => this.maps.splits.get(`${lead}:${part}`)?.[0]);
    const backends = [...new Set([lead, ...parts])].map((name) => [...(this.servers.get(name ?? '')?.values() ?? [])]);
    return backends
      .flat()
      .filter(({ inService, weight }) => inService && weight > 0)
      .map(({ port }) => port);
  }

  private setMap(verb: string, file: string, [key = '', value = '']: string[]): void {
    const map = Object.entries(mapFiles).find(([, path]) => path === file)![0] as keyof typeof mapFiles;
    if (verb === 'del') this.maps[map].delete(key);
    else this.maps[map].set(key, verb === 'set' ? [value] : [...(this.maps[map].get(key) ?? []), value]);
  }

  private setServer(target: string, rest: string[]): void {
    const [backend = '', slot = ''] = target.split('/');
    const slots = this.servers.get(backend)!;
    const now = slots.get(slot)!;
    const [what, value, , port] = rest;
    if (what === 'weight') slots.set(slot, { ...now, weight: Number(value) });
    else if (what === 'addr') slots.set(slot, { ...now, address: value!, port: Number(port) });
    else slots.set(slot, { ...now, inService: value === 'ready' });
  }
}

const freeSlot: RuntimeSlot = { address: '127.0.0.1', port: 1, inService: false, weight: 100, health: 'up' };
const smallLayout: Layout = {
  ...emptyLayout,
  backends: emptyLayout.backends.slice(0, 6).map(() => ({ pool: null, slots: Array<null>(4).fill(null) })),
};

/** Up to four apps with up to four instances; the port tells both, so that a wrong turn is seen. */
const specs = fc
  .uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 4 })
  .chain((apps) => fc.tuple(...apps.map(pools)))
  .map((all): ProxySpec => ({
    pools: all,
    hosts: [
      ...all.map(({ id }) => ({ host: `${id}.test`, pool: id })),
      { host: 'both.test', shares: ['1', '2'].map((pool) => ({ pool, weight: 50 })) },
    ],
  }));

function pools(app: number) {
  const endpoint = fc.record({
    instance: fc.integer({ min: 1, max: 6 }),
    ready: fc.boolean(),
    weight: fc.constantFrom(0, 50, 100),
  });
  return fc.uniqueArray(endpoint, { maxLength: 4, selector: ({ instance }) => instance }).map((endpoints): Pool => ({
    id: `${app}`,
    endpoints: endpoints.map(({ instance, ready, weight }) => ({
      id: `${app}-${instance}`,
      address: '10.0.0.1',
      port: app * 100 + instance,
      state: ready ? 'ready' : 'draining',
      weight,
    })),
  }));
}

const readyPorts = ({ pools }: ProxySpec, app: number) =>
  (pools.find(({ id }) => id === `${app}`)?.endpoints ?? [])
    .filter(({ state, weight }) => state === 'ready' && weight !== 0)
    .map(({ port }) => port);

const fits = ({ backends }: Layout) => backends.length <= 6 && backends.every(({ slots }) => slots.length <= 4);

describe('the commands from what runs to what is wanted', () => {
  it('reach every layout, need nothing more then, and never lead a host to another app', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(specs, fc.boolean()), { minLength: 1, maxLength: 8 }), (steps) => {
        const haproxy = new ModelHaproxy(6, 4);
        let layout = smallLayout;
        for (const [spec, unused] of steps) {
          const arranged = arrange(layout, spec, () => unused);
          if (!fits(arranged.layout)) return;
          layout = arranged.layout;
          haproxy.watch = () => {
            for (const app of [1, 2, 3, 4]) {
              for (const port of haproxy.serving(`${app}.test`)) expect(Math.floor(port / 100)).toBe(app);
            }
            for (const port of haproxy.serving('both.test')) expect([1, 2]).toContain(Math.floor(port / 100));
          };
          for (const command of runtimeCommands(layout, haproxy.view)) haproxy.run(command);
          expect(runtimeCommands(layout, haproxy.view)).toEqual([]);
          for (const app of [1, 2, 3, 4])
            expect(haproxy.serving(`${app}.test`).sort()).toEqual(readyPorts(spec, app).sort());
          const both = [...readyPorts(spec, 1), ...readyPorts(spec, 2)];
          expect(haproxy.serving('both.test').sort()).toEqual(both.sort());
        }
      }),
      runs(500),
    );
  });

  it('leave no moment in which an app that is served before and after is not', () => {
    fc.assert(
      fc.property(specs, specs, fc.boolean(), (before, after, unused) => {
        const haproxy = new ModelHaproxy(6, 4);
        const first = arrange(smallLayout, before, () => unused).layout;
        for (const command of runtimeCommands(first, haproxy.view)) haproxy.run(command);
        const second = arrange(first, after, () => unused).layout;
        if (!fits(second)) return;
        const served = [1, 2, 3, 4].filter(
          (app) => readyPorts(before, app).length > 0 && readyPorts(after, app).length > 0,
        );
        haproxy.watch = () => {
          for (const app of served) expect(haproxy.serving(`${app}.test`).length).toBeGreaterThan(0);
        };
        for (const command of runtimeCommands(second, haproxy.view)) haproxy.run(command);
      }),
      runs(500),
    );
  });

  it('are not needed for safety after a crash between two files: no host leads to another app then', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(specs, fc.boolean()), { minLength: 2, maxLength: 8 }), (steps) => {
        let before = smallLayout;
        for (const [spec, unused] of steps) {
          const { layout } = arrange(before, spec, () => unused);
          // The map is replaced before the configuration: HAProxy may start with the new map and the old servers.
          const leads = Object.entries(layout.maps.routes).filter(([key]) => key !== 'both.test/');
          for (const [key, backend] of leads) {
            const slots = before.backends[Number(backend.slice('app_'.length))]?.slots ?? [];
            const apps = slots.flatMap((slot) =>
              slot?.state === 'ready' ? [`${Math.floor(slot.port / 100)}.test/`] : [],
            );
            expect(apps.filter((app) => app !== key)).toEqual([]);
          }
          before = layout;
        }
      }),
      runs(500),
    );
  });

  it('repair a key that stands twice in the map', () => {
    const haproxy = new ModelHaproxy(6, 4);
    haproxy.maps.routes.set('1.test/', ['app_0', 'app_0']);
    const { layout } = arrange(
      smallLayout,
      { pools: [{ id: '1', endpoints: [] }], hosts: [{ host: '1.test', pool: '1' }] },
      none,
    );
    for (const command of runtimeCommands(layout, haproxy.view)) haproxy.run(command);
    expect(haproxy.maps.routes.get('1.test/')).toEqual(['app_0']);
  });
});

const none: Unused = () => false;
