import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import {
  AltoError,
  type InputOf,
  type Message,
  newId,
  notificationsEvents,
  notificationsOperations,
} from '@alto/contracts';
import { type CallIdentity, Clock, CONFIG, Database, Outbox } from '@alto/platform';
import type { NotificationsConfig } from '../config';
import { MessageQuota } from '../quotas/message-quota';
import type { TopicEntity } from '../topics/topic.entity';
import { TopicsService } from '../topics/topics.service';
import type { MessageEntity } from './message.entity';
import { MessagesStore } from './messages.store';

type Publication = InputOf<typeof notificationsOperations.messages.publish>;
type ListRequest = InputOf<typeof notificationsOperations.messages.list>;

@Injectable()
export class MessagesService {
  constructor(
    @Inject(CONFIG) private readonly config: NotificationsConfig,
    private readonly topics: TopicsService,
    private readonly store: MessagesStore,
    private readonly quota: MessageQuota,
    private readonly db: Database,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
  ) {}

  /**
   * Appends a message to the topic's log. The topic's row stays locked until the commit, so sequences follow the
   * order of commits, without gaps, and of two messages with the same `dedupeKey` the second one sees the first.
   * In a project whose messages are limited all that publish wait for each other.
   */
  async publish({ project, topic: name, body, dedupeKey }: Publication, caller: CallIdentity): Promise<Message> {
    const json = this.encode(body);
    return this.db.transaction(async (tx) => {
      await this.quota.lock(tx, caller, project);
      const topic = await this.topics.lock(tx, project, name);
      const first = dedupeKey === undefined ? null : await this.store.findByDedupeKey(tx, topic.id, dedupeKey);
      if (first !== null) return view(first, name);
      await this.quota.requireRoom(tx, caller, project);
      return view(await this.append(tx, topic, json, dedupeKey ?? null), name);
    });
  }

  async list({ project, topic: name, limit, cursor }: ListRequest): Promise<{ items: Message[]; nextCursor?: string }> {
    const after = sequenceOf(cursor);
    const topic = await this.topics.find(project, name);
    const found = await this.store.list(topic.id, limit + 1, after);
    const items = found.slice(0, limit).map((message) => view(message, name));
    return found.length > limit ? { items, nextCursor: String(items.at(-1)?.sequence) } : { items };
  }

  private async append(
    tx: EntityManager,
    topic: TopicEntity,
    body: string,
    dedupeKey: string | null,
  ): Promise<MessageEntity> {
    const publishedAt = this.clock.now();
    const sequence = topic.lastSequence + 1;
    const id = newId('message', publishedAt.getTime());
    const message: MessageEntity = { topic: topic.id, sequence, id, body, dedupeKey, publishedAt };
    await this.store.insert(tx, message);
    await this.topics.advance(tx, topic, sequence);
    const { body: _, ...data } = view(message, topic.name);
    const facts = { project: topic.project, resource: topic.id, resourceVersion: sequence, data };
    await this.outbox.append(tx, notificationsEvents.messagePublished, facts);
    return message;
  }

  private encode(body: unknown): string {
    const json = JSON.stringify(body);
    const bytesMax = this.config.ALTO_NOTIFICATIONS_MESSAGE_BYTES_MAX;
    if (Buffer.byteLength(json) <= bytesMax) return json;
    throw new AltoError('too_large', {
      message: `The body of a message may have ${bytesMax} bytes of JSON at most.`,
      field: 'body',
      nextStep: 'Put the content elsewhere and publish where it is.',
    });
  }
}

function sequenceOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  const sequence = /^\d{1,15}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (Number.isSafeInteger(sequence)) return sequence;
  throw new AltoError('invalid_request', {
    message: 'cursor: must be the nextCursor of a page before',
    field: 'cursor',
  });
}

function view({ id, sequence, body, publishedAt }: MessageEntity, topic: string): Message {
  return { id, topic, sequence, body: JSON.parse(body) as unknown, publishedAt: publishedAt.toISOString() };
}
