import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@alto/platform';
import { notificationsConfig } from './config';
import { MessageEntity } from './messages/message.entity';
import { MessagesController } from './messages/messages.controller';
import { MessagesService } from './messages/messages.service';
import { MessagesStore } from './messages/messages.store';
import { notificationsMigrations } from './migrations';
import { MessageQuota } from './quotas/message-quota';
import { QuotasStore } from './quotas/quotas.store';
import { UsageController } from './quotas/usage.controller';
import { TopicEntity } from './topics/topic.entity';
import { TopicsController } from './topics/topics.controller';
import { TopicsService } from './topics/topics.service';
import { TopicsStore } from './topics/topics.store';

@Module({
  controllers: [TopicsController, MessagesController, UsageController],
  providers: [TopicsService, TopicsStore, MessagesService, MessagesStore, MessageQuota, QuotasStore],
})
export class NotificationsModule {}

export const notificationsService: ServiceDefinition = {
  name: 'notifications',
  module: NotificationsModule,
  config: notificationsConfig,
  database: { entities: [TopicEntity, MessageEntity], migrations: notificationsMigrations },
};
