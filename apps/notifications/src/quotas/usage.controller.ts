import { Controller } from '@nestjs/common';
import { type InputOf, notificationsOperations, type OutputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { QuotasStore } from './quotas.store';

const { get } = notificationsOperations.usage;

@Controller()
export class UsageController {
  constructor(private readonly store: QuotasStore) {}

  @Handles(get)
  async get({ project }: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return { use: { messages: await this.store.countMessages(project) } };
  }
}
