import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Database, Handles } from '@alto/platform';
import { AppsService } from '../apps/apps.service';
import { InstancesService } from './instances.service';

const { instances } = computeOperations;

@Controller()
export class InstancesController {
  constructor(
    private readonly database: Database,
    private readonly apps: AppsService,
    private readonly service: InstancesService,
  ) {}

  @Handles(instances.list)
  async list(input: InputOf<typeof instances.list>) {
    const app = await this.apps.find(input);
    return this.service.list(this.database.manager, app.id, input);
  }
}
