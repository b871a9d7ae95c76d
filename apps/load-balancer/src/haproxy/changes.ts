/** Layout against what a running HAProxy has → the commands that make it so. Pure. */
import { hostsMap } from './configuration';
import { backendName, type Layout, slotName } from './layout';
import { type RuntimeServers, type RuntimeSlot, sameAddress } from './runtime-state';

export interface RuntimeView {
  readonly servers: RuntimeServers;
  /** Host → names of backends. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
}

/**
 * Commands in an order that leaves no request without a server and leads none astray at any point between them: hosts
 * that go are forgotten first, then slots are filled, then others taken out of service, and hosts that come are learned
 * last. A slot is out of service while its address changes; returning resets its health, so that a new endpoint does
 * not inherit that of the one before.
 */
export function runtimeCommands(layout: Layout, view: RuntimeView): string[] {
  const hosts = hostCommands(layout, view.hosts);
  const slots = slotCommands(layout, view.servers);
  return [...hosts.leave, ...slots.enter, ...slots.leave, ...hosts.enter];
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

function hostCommands({ hosts }: Layout, running: RuntimeView['hosts']): { leave: string[]; enter: string[] } {
  const leave: string[] = [];
  const enter: string[] = [];
  for (const [host, backends] of running) {
    // `del map` forgets all values of a key; one that was added twice is learned afresh.
    if (!Object.hasOwn(hosts, host) || backends.length > 1) leave.push(`del map ${hostsMap} ${host}`);
  }
  for (const [host, number] of Object.entries(hosts)) {
    const now = running.get(host);
    const wanted = backendName(number);
    if (now === undefined || now.length > 1) enter.push(`add map ${hostsMap} ${host} ${wanted}`);
    else if (now[0] !== wanted) enter.push(`set map ${hostsMap} ${host} ${wanted}`);
  }
  return { leave, enter };
}
