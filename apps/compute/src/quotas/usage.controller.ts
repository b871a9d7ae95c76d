import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { QuotasService } from './quotas.service';

const { usage } = computeOperations;

@Controller()
export class UsageController {
  constructor(private readonly quotas: QuotasService) {}

  @Handles(usage.get)
  async get({ project }: InputOf<typeof usage.get>) {
    return { use: await this.quotas.use(project) };
  }
}
