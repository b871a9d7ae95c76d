import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, gatewayOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { QuotasService } from './quotas.service';

const { get, put } = gatewayOperations.quotas;

@Controller()
export class QuotasController {
  constructor(private readonly quotas: QuotasService) {}

  @Handles(get)
  get({ project }: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return this.quotas.get(project);
  }

  @Handles(put)
  put({ project, limits }: InputOf<typeof put>): Promise<OutputOf<typeof put>> {
    return this.quotas.put(project, limits);
  }
}
