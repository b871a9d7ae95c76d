import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Database, Handles } from '@alto/platform';
import { AppsService } from '../apps/apps.service';
import { RevisionsService } from './revisions.service';

const { revisions } = computeOperations;

@Controller()
export class RevisionsController {
  constructor(
    private readonly database: Database,
    private readonly apps: AppsService,
    private readonly service: RevisionsService,
  ) {}

  @Handles(revisions.list)
  async list(input: InputOf<typeof revisions.list>) {
    const app = await this.apps.find(input);
    return this.service.list(this.database.manager, app, input);
  }
}
