import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, storageOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { QuotasStore } from './quotas.store';

const { get } = storageOperations.usage;

@Controller()
export class UsageController {
  constructor(private readonly store: QuotasStore) {}

  @Handles(get)
  async get({ project }: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return { use: { storageBytes: await this.store.countBytes(project) } };
  }
}
