/** Layout against what a running HAProxy has → the commands that make it so. Pure. */
import type { Layout } from './layout';
import { mapFiles, type MapName } from './maps';
import { backendName, slotName } from './place-names';
import { type RuntimeServers, type RuntimeSlot, sameAddress } from './runtime-state';

export interface RuntimeView {
  readonly servers: RuntimeServers;
  /** Key → values of each map. */
  readonly maps: Readonly<Record<MapName, ReadonlyMap<string, readonly string[]>>>;
}

/**
 * Commands in an order that leaves no request without a server and leads none astray at any point between them: routes
 * that go are forgotten first, then slots are filled, then others taken out of service, and routes that come are learned
 * last, what they refer to before them. A slot is out of service while its address changes; returning resets its health, so that a new endpoint does
 * not inherit that of the one before.
 */
export function runtimeCommands(layout: Layout, view: RuntimeView): string[] {
  const map = (name: MapName) => mapCommands(mapFiles[name], layout.maps[name], view.maps[name]);
  const [routes, splits, headers] = [map('routes'), map('splits'), map('headers')];
  const slots = slotCommands(layout, view.servers);
  return [
    ...routes.leave,
    ...slots.enter,
    ...slots.leave,
    ...splits.enter,
    ...headers.enter,
    ...routes.enter,
    ...headers.leave,
    ...splits.leave,
  ];
}

/** Backends whose runtime state matters: those with something in them, in the layout or in HAProxy. */
function slotCommands(layout: Layout, servers: RuntimeServers): { leave: string[]; enter: string[] } {
  const leave: string[] = [];
  const enter: string[] = [];
  layout.backends.forEach(({ slots }, number) => {
    const running = servers.get(backendName(number));
    if (running === undefined) return;
    slots.forEach((slot, index) => {
      const now = running.get(slotName(index));
      if (now === undefined) return;
      const server = `${backendName(number)}/${slotName(index)}`;
      const serves = slot !== null && slot.state === 'ready';
      const moved = serves && !isAt(now, slot);
      if (now.inService && !serves) leave.push(`set server ${server} state maint`);
      if (now.inService && moved) enter.push(`set server ${server} state maint`);
      if (moved) enter.push(`set server ${server} addr ${slot.address} port ${slot.port}`);
      if (serves && now.weight !== slot.weight) {
        // Raised before others are lowered, so that at no moment all weigh nothing.
        const when = slot.weight > now.weight || moved || !now.inService ? enter : leave;
        when.push(`set server ${server} weight ${slot.weight}`);
      }
      if (serves && (moved || !now.inService)) enter.push(`set server ${server} state ready`);
    });
  });
  return { leave, enter };
}

function isAt(now: RuntimeSlot, { address, port }: { address: string; port: number }): boolean {
  return now.port === port && sameAddress(now.address, address);
}

function mapCommands(
  file: string,
  wanted: Readonly<Record<string, string>>,
  running: ReadonlyMap<string, readonly string[]>,
): { leave: string[]; enter: string[] } {
  const leave: string[] = [];
  const enter: string[] = [];
  for (const [key, values] of running) {
    if (!Object.hasOwn(wanted, key)) leave.push(`del map ${file} ${key}`);
    // `del map` forgets all values of a key; one that was added twice is learned afresh.
    else if (values.length > 1) enter.push(`del map ${file} ${key}`);
  }
  for (const [key, value] of Object.entries(wanted)) {
    const now = running.get(key);
    if (now === undefined || now.length > 1) enter.push(`add map ${file} ${key} ${value}`);
    else if (now[0] !== value) enter.push(`set map ${file} ${key} ${value}`);
  }
  return { leave, enter };
}
