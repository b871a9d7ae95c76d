/** Events: facts about resources, in CloudEvents 1.0, in order per resource, at least once. */
import { z } from 'zod';
import type { ServiceName } from './operation';

export interface EventDeclaration<D extends z.ZodType> {
  readonly service: ServiceName;
  readonly noun: string;
  /** Past tense: `created`, `updated`, `deleted`. */
  readonly verb: string;
  readonly version: number;
  readonly summary: string;
  readonly data: D;
}

export interface EventType<D extends z.ZodType = z.ZodType> extends EventDeclaration<D> {
  /** `<service>.<noun>.<verb>`, the CloudEvents `type`. */
  readonly type: string;
}

export type EventDataOf<T extends EventType> = z.output<T['data']>;

export function event<D extends z.ZodType>(declaration: EventDeclaration<D>): EventType<D> {
  const { service, noun, verb } = declaration;
  return Object.freeze({ ...declaration, type: `${service}.${noun}.${verb}` });
}

/** The project of events that belong to the cluster and not to a user's project. */
export const clusterProject = 'cluster';

/** Subject of an event: `alto.events.<project id>.<service>.<noun>.<verb>`. */
export function eventSubject(type: string, project: string): string {
  return `alto.events.${project}.${type}`;
}

export const eventsStream = 'ALTO_EVENTS';

/** An event as it travels: CloudEvents 1.0 in JSON, with three extension attributes. */
export const cloudEventSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  /** `alto/<service>`. */
  source: z.string(),
  type: z.string(),
  /** Id of the resource. */
  subject: z.string(),
  /** RFC 3339. */
  time: z.string(),
  datacontenttype: z.literal('application/json'),
  /** Version of the event's data. */
  dataversion: z.number().int(),
  /** Project id, or `cluster`. */
  project: z.string(),
  /** Version of the resource after the change: grows by one or more with each event of the resource. */
  resourceversion: z.number().int(),
  data: z.unknown(),
});

export type CloudEvent = z.infer<typeof cloudEventSchema>;
