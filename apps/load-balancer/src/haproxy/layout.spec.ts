import type { Endpoint, ProxySpec } from '../proxy/proxy.engine';
import { arrange, backendsFirst, backendsMax, emptyLayout, type Layout, lostLayout, slotsMax } from './layout';
import { emptyMaps } from './maps';
import { readLayout, writeLayout } from './layout-file';

const endpoint = (id: string, port = 20_000, state: Endpoint['state'] = 'ready'): Endpoint => ({
  id,
  address: '127.0.0.1',
  port,
  state,
});
const spec = (apps: Record<string, Endpoint[]>): ProxySpec => ({
  pools: Object.entries(apps).map(([id, endpoints]) => ({ id, endpoints })),
  hosts: Object.keys(apps).map((id) => ({ host: `${id}.test`, pool: id })),
});
const inUse = () => false;
const unused = () => true;
const placed = ({ backends }: Layout, number = 0) =>
  backends[number]!.slots.map((slot) => (slot === null ? '-' : `${slot.id}:${slot.state}`));

it('keeps places while what is in them exists', () => {
  const first = arrange(emptyLayout, spec({ a: [endpoint('a1'), endpoint('a2')], b: [endpoint('b1')] }), inUse).layout;
  const second = arrange(
    first,
    spec({ b: [endpoint('b1', 20_000, 'draining'), endpoint('b2')], a: [endpoint('a2')] }),
    inUse,
  ).layout;
  expect(placed(second, 0).slice(0, 3)).toEqual(['a1:gone', 'a2:ready', '-']);
  expect(placed(second, 1).slice(0, 3)).toEqual(['b1:draining', 'b2:ready', '-']);
  expect(second.maps.routes).toEqual({ 'a.test/': 'app_0', 'b.test/': 'app_1' });
});

it('gives a slot to another endpoint when nothing uses it any more, and back to its own at any time', () => {
  const first = arrange(emptyLayout, spec({ a: [endpoint('a1')] }), inUse).layout;
  const gone = arrange(first, spec({ a: [] }), inUse).layout;
  expect(placed(arrange(gone, spec({ a: [endpoint('a2')] }), inUse).layout).slice(0, 2)).toEqual([
    'a1:gone',
    'a2:ready',
  ]);
  expect(placed(arrange(gone, spec({ a: [endpoint('a2')] }), unused).layout).slice(0, 2)).toEqual(['a2:ready', '-']);
  expect(placed(arrange(gone, spec({ a: [endpoint('a1')] }), inUse).layout).slice(0, 2)).toEqual(['a1:ready', '-']);
  expect(placed(arrange(gone, spec({ a: [endpoint('a1', 20_001)] }), inUse).layout).slice(0, 2)).toEqual([
    'a1:gone',
    'a1:ready',
  ]);
});

it('gives a backend to another app only after a call in which it was free', () => {
  const full = spec(
    Object.fromEntries(Array.from({ length: backendsFirst }, (_, n) => [`a${n}`, [endpoint(`i${n}`)]])),
  );
  const first = arrange(emptyLayout, full, inUse).layout;
  const others = spec({ new: [endpoint('n1')] });
  const second = arrange(first, others, unused).layout;
  expect(second.maps.routes).toEqual({ 'new.test/': `app_${backendsFirst}` });
  const third = arrange(second, spec({}), unused).layout;
  const fourth = arrange(arrange(third, spec({}), unused).layout, others, unused).layout;
  expect(fourth.maps.routes).toEqual({ 'new.test/': 'app_0' });
});

it('adds slots and backends where there are too few, and says what has no place at last', () => {
  const many = arrange(emptyLayout, spec({ a: Array.from({ length: 17 }, (_, n) => endpoint(`a${n}`)) }), inUse);
  expect(many.unplaced).toEqual([]);
  expect(many.layout.backends[0]!.slots).toHaveLength(32);

  const apps = Object.fromEntries(Array.from({ length: backendsMax + 1 }, (_, n) => [`a${n}`, []]));
  const crowded = arrange(emptyLayout, spec(apps), inUse);
  expect(crowded.layout.backends).toHaveLength(backendsMax);
  expect(crowded.unplaced).toEqual([expect.stringContaining(`App a${backendsMax} has no place`)]);

  const huge = arrange(
    emptyLayout,
    spec({ a: Array.from({ length: slotsMax + 2 }, (_, n) => endpoint(`a${n}`)) }),
    inUse,
  );
  expect(huge.unplaced).toEqual([expect.stringContaining('2 endpoints of app a have no place')]);
});

it('is the same after being written and read, but for the maps, which follow from the spec', () => {
  const { layout } = arrange(emptyLayout, spec({ a: [endpoint('a1'), endpoint('a2')], b: [] }), inUse);
  const changed = arrange(layout, spec({ a: [endpoint('a2')], b: [endpoint('b1')] }), inUse).layout;
  expect(readLayout(writeLayout(changed))).toEqual({ ...changed, maps: emptyMaps });
  expect(() => readLayout('{"version":2}')).toThrow();
});

it('takes no place of a HAProxy whose layout was lost before its connections have ended', () => {
  const { layout } = arrange(lostLayout, spec({ a: [endpoint('a1')] }), inUse);
  expect(layout.maps.routes).toEqual({ 'a.test/': `app_${backendsFirst}` });
  const freed = arrange(layout, spec({ a: [endpoint('a1')] }), unused).layout;
  expect(freed.backends.filter(({ pool }) => pool !== null)).toHaveLength(1);
});
