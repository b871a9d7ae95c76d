/** What HAProxy found out about the targets of a pool: for who commands it, and for who only looks. */
import type { TargetReport } from '../proxy/proxy.engine';
import type { Layout, Slot } from './layout';
import { backendName, slotName } from './place-names';
import type { HaproxyRuntime } from './runtime';
import type { RuntimeSlot } from './runtime-state';

export async function targetsIn(layout: Layout, runtime: HaproxyRuntime, pool: string): Promise<TargetReport[]> {
  const number = layout.backends.findIndex((backend) => backend.pool === pool);
  const slots = layout.backends[number]?.slots ?? [];
  const running = await runtime.slots(backendName(number)).catch(() => new Map<string, RuntimeSlot>());
  return slots.flatMap((slot, index) =>
    slot === null || slot.state === 'gone' ? [] : [{ pool, ...reportOf(slot, running.get(slotName(index))) }],
  );
}

function reportOf(slot: Slot, running: RuntimeSlot | undefined): Omit<TargetReport, 'pool'> {
  const endpoint = slot.id;
  if (slot.state !== 'ready') {
    return { endpoint, state: 'draining', reason: 'It gets no new requests; those in flight may end.' };
  }
  if (running === undefined) return { endpoint, state: 'unknown', reason: 'HAProxy does not answer.' };
  if (running.health === 'down') {
    return {
      endpoint,
      state: 'down',
      reason: 'HAProxy cannot connect to it; it gets requests again when it accepts connections.',
    };
  }
  return { endpoint, state: 'up', reason: 'It gets requests.' };
}
