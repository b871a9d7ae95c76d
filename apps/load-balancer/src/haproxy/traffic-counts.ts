/**
 * What slots counted → what endpoints did. A slot counts on when another endpoint gets it, and from 0 in a new process,
 * so only differences between two looks at the same endpoint in the same slot are added up.
 */
import type { EndpointTraffic } from '../proxy/proxy.engine';
import type { Layout } from './layout';
import { backendName, slotName } from './place-names';
import type { SlotCounters } from './runtime-state';

const nothing: SlotCounters = { requests: 0, failures: 0 };

interface Look {
  readonly process: string;
  readonly endpoint: string;
  readonly counters: SlotCounters;
}

export class TrafficCounts {
  private looks = new Map<string, Look>();
  private sums = new Map<string, SlotCounters>();

  /** @param process identity of the HAProxy process that says this */
  look(
    process: string,
    layout: Layout,
    counters: ReadonlyMap<string, ReadonlyMap<string, SlotCounters>>,
  ): EndpointTraffic[] {
    const looks = new Map<string, Look>();
    const sums = new Map<string, SlotCounters>();
    layout.backends.forEach(({ slots }, number) => {
      const ofBackend = counters.get(backendName(number));
      slots.forEach((slot, index) => {
        if (slot === null) return;
        const place = `${number}/${index}`;
        const before = this.looks.get(place);
        const sum = this.sums.get(slot.id) ?? nothing;
        const now = ofBackend?.get(slotName(index));
        if (now === undefined) {
          // Out of service: it is not told of, and comes back with what it had counted.
          if (before?.endpoint === slot.id) looks.set(place, before);
          sums.set(slot.id, sum);
          return;
        }
        looks.set(place, { process, endpoint: slot.id, counters: now });
        sums.set(slot.id, before?.endpoint === slot.id ? plus(sum, now, since(before, process, now)) : sum);
      });
    });
    this.looks = looks;
    this.sums = sums;
    return this.all();
  }

  all(): EndpointTraffic[] {
    return [...this.sums].flatMap(([endpoint, sum]) => (sum.requests === 0 ? [] : [{ endpoint, ...sum }]));
  }
}

function since(before: Look, process: string, now: SlotCounters): SlotCounters {
  return before.process !== process || now.requests < before.counters.requests ? nothing : before.counters;
}

function plus(sum: SlotCounters, now: SlotCounters, before: SlotCounters): SlotCounters {
  return {
    requests: sum.requests + now.requests - before.requests,
    failures: sum.failures + Math.max(0, now.failures - before.failures),
  };
}
