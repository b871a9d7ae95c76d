import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Database, Handles } from '@alto/platform';
import { AppsService } from '../apps/apps.service';
import { RolloutsService } from './rollouts.service';

const { rollouts } = computeOperations;

@Controller()
export class RolloutsController {
  constructor(
    private readonly database: Database,
    private readonly apps: AppsService,
    private readonly service: RolloutsService,
  ) {}

  @Handles(rollouts.list)
  async list(input: InputOf<typeof rollouts.list>) {
    const app = await this.apps.find(input);
    return this.service.list(this.database.manager, app.id, input);
  }

  @Handles(rollouts.get)
  async get(input: InputOf<typeof rollouts.get>) {
    const app = await this.apps.find(input);
    return this.service.get(this.database.manager, app.id, input.rollout);
  }
}
