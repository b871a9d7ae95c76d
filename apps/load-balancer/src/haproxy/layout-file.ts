/** The layout as it is kept on disk: only what is not free, with a version. */
import { z } from 'zod';
import { usualWeight } from '../proxy/proxy.engine';
import { emptyMaps } from './maps';
import { type Backend, emptyLayout, type Layout, type Slot, slotsFirst } from './layout';

const slotSchema = z.object({
  index: z.number().int().min(0),
  id: z.string(),
  address: z.string(),
  port: z.number().int(),
  state: z.enum(['ready', 'draining', 'gone']),
  weight: z.number().int().min(0).default(usualWeight),
});

const fileSchema = z.object({
  version: z.literal(1),
  backendCount: z.number().int().min(1),
  backends: z.array(
    z.object({
      number: z.number().int().min(0),
      pool: z.string().nullable(),
      slotCount: z.number().int().min(1),
      slots: z.array(slotSchema),
    }),
  ),
  /** Empty: earlier versions of the load balancer wrote and expect it. */
  hosts: z.record(z.string(), z.number().int().min(0)).default({}),
  headerNames: z
    .object({ request: z.array(z.string()), response: z.array(z.string()) })
    .default({ request: [], response: [] }),
});

/** The maps are not kept: they follow from what is known. */
export function writeLayout({ backends, headerNames }: Layout): string {
  const used = backends.flatMap(({ pool, slots }, number) => {
    if (pool === null && slots.length === slotsFirst) return [];
    const taken = slots.flatMap((slot, index) => (slot === null ? [] : [{ index, ...slot }]));
    return [{ number, pool, slotCount: slots.length, slots: taken }];
  });
  const names = { request: [...headerNames.request], response: [...headerNames.response] };
  const file: z.input<typeof fileSchema> = {
    version: 1,
    backendCount: backends.length,
    backends: used,
    hosts: {},
    headerNames: names,
  };
  return `${JSON.stringify(file)}\n`;
}

/** @throws Error when the text is not a layout */
export function readLayout(text: string): Layout {
  const file = fileSchema.parse(JSON.parse(text));
  const free = emptyLayout.backends[0]!;
  const backends = Array<Backend>(file.backendCount).fill(free);
  for (const { number, pool, slotCount, slots } of file.backends) {
    const places = Array<Slot | null>(slotCount).fill(null);
    for (const { index, ...slot } of slots) places[index] = slot;
    backends[number] = { pool, slots: places };
  }
  return { backends, maps: emptyMaps, headerNames: file.headerNames };
}
