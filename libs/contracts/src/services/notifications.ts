import { z } from 'zod';
import { event } from '../event';
import { nameField, pageOf, pageRequest, projectField, timeField } from '../fields';
import { idOf } from '../ids';
import { operation } from '../operation';
import { usageOperation } from '../quotas';

export const topicSchema = z.object({
  id: idOf('topic'),
  project: idOf('project'),
  name: nameField,
  /** Sequence of the newest message; 0 when there is none. */
  lastSequence: z.number().int(),
  createdAt: timeField,
});
export type Topic = z.infer<typeof topicSchema>;

export const messageSchema = z.object({
  id: idOf('message'),
  topic: nameField,
  /** 1, 2, 3 … within the topic, without gaps. */
  sequence: z.number().int(),
  body: z.unknown(),
  publishedAt: timeField,
});
export type Message = z.infer<typeof messageSchema>;

const topicAddress = { project: projectField, topic: nameField };

export const notificationsOperations = {
  usage: { get: usageOperation('notifications') },
  messages: {
    publish: operation({
      service: 'notifications',
      noun: 'messages',
      verb: 'publish',
      version: 1,
      summary: 'Publish a message to a topic; the topic is made with its first message',
      http: { method: 'POST', path: '/v1/projects/{project}/topics/{topic}/messages', status: 201 },
      permission: 'topics.write',
      callers: ['gateway'],
      input: z.strictObject({
        ...topicAddress,
        body: z.json().describe('Any JSON, 256 KiB at most'),
        dedupeKey: z
          .string()
          .min(1)
          .max(200)
          .optional()
          .describe('A second message with the same key is the first one again and is not published'),
      }),
      output: messageSchema,
      errors: ['quota_exceeded'],
      idempotent: false,
    }),
    list: operation({
      service: 'notifications',
      noun: 'messages',
      verb: 'list',
      version: 1,
      summary: 'List the messages of a topic in the order they were published',
      http: { method: 'GET', path: '/v1/projects/{project}/topics/{topic}/messages' },
      permission: 'topics.read',
      callers: ['gateway'],
      input: z.strictObject({ ...topicAddress, ...pageRequest }),
      output: pageOf(messageSchema),
      errors: [],
      idempotent: true,
    }),
  },
  topics: {
    list: operation({
      service: 'notifications',
      noun: 'topics',
      verb: 'list',
      version: 1,
      summary: 'List the topics of a project',
      http: { method: 'GET', path: '/v1/projects/{project}/topics' },
      permission: 'topics.read',
      callers: ['gateway'],
      input: z.strictObject({ project: projectField, ...pageRequest }),
      output: pageOf(topicSchema),
      errors: [],
      idempotent: true,
    }),
  },
};

export const notificationsEvents = {
  messagePublished: event({
    service: 'notifications',
    noun: 'messages',
    verb: 'published',
    version: 1,
    summary: 'A message was published; the body is read from the topic',
    data: messageSchema.omit({ body: true }),
  }),
};
