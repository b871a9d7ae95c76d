/**
 * Events, written in the transaction that makes the change they tell of. The relay (relay.ts) publishes them.
 */
import {
  type CloudEvent,
  clusterProject,
  type EventDataOf,
  eventSubject,
  type EventType,
  newId,
} from '@alto/contracts';
import type { EntityManager } from 'typeorm';
import type { Clock } from './clock';
import type { Database } from './database';
import { insertEvent } from './outbox.store';
import { queryIn } from './rows';

export interface EventFacts<T extends EventType> {
  /** Id of the project; null for events of the cluster. */
  readonly project: string | null;
  /** Id of the resource. Its events are published in the order of their versions. */
  readonly resource: string;
  /** Version of the resource after the change. It grows with every event, which the lock on the resource's row ensures. */
  readonly resourceVersion: number;
  readonly data: EventDataOf<T>;
}

/** NATS carries 1 MB at most, headers included; an event says what has happened, the rest is asked for. */
const bodyBytesMax = 256 * 1024;

type Listener = () => void;

export class Outbox {
  private readonly listeners = new Set<Listener>();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /**
   * Writes an event. The transaction must have locked the resource's row before (or created it): that alone makes the
   * order of a resource's events the order of its changes.
   * @returns the event's id
   */
  async append<T extends EventType>(transaction: EntityManager, event: T, facts: EventFacts<T>): Promise<string> {
    const nowMs = this.clock.nowMs();
    const project = facts.project ?? clusterProject;
    const cloudEvent: CloudEvent = {
      specversion: '1.0',
      id: newId('event', nowMs),
      source: `alto/${event.service}`,
      type: event.type,
      subject: facts.resource,
      time: new Date(nowMs).toISOString(),
      datacontenttype: 'application/json',
      dataversion: event.version,
      project,
      resourceversion: facts.resourceVersion,
      data: event.data.parse(facts.data),
    };
    const body = JSON.stringify(cloudEvent);
    if (Buffer.byteLength(body) > bodyBytesMax) {
      throw new Error(`Event ${event.type} is larger than ${bodyBytesMax} bytes: leave out what can be asked for.`);
    }
    const { id, subject: resource, resourceversion: resourceVersion } = cloudEvent;
    this.database.afterCommit(transaction, () => this.announce());
    await insertEvent(queryIn(transaction), {
      id,
      resource,
      resourceVersion,
      subject: eventSubject(event.type, project),
      body,
    });
    return id;
  }

  /** Calls the listener after each commit of this process that wrote events. @returns a function that stops it */
  onAppended(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private announce(): void {
    for (const listener of this.listeners) listener();
  }
}
