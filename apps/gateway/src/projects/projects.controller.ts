import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, gatewayOperations } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';
import { ProjectsService } from './projects.service';

const { create, get, list } = gatewayOperations.projects;

@Controller()
export class ProjectsController {
  constructor(private readonly projects: ProjectsService) {}

  @Handles(create)
  create(input: InputOf<typeof create>): Promise<OutputOf<typeof create>> {
    return this.projects.create(input);
  }

  @Handles(get)
  get(input: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return this.projects.get(input.project);
  }

  @Handles(list)
  list(input: InputOf<typeof list>, call: CallContext): Promise<OutputOf<typeof list>> {
    return this.projects.list(input, call);
  }
}
