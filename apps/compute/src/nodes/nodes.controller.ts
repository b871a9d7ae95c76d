import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { NodesService } from './nodes.service';

const { nodes } = computeOperations;

@Controller()
export class NodesController {
  constructor(private readonly service: NodesService) {}

  @Handles(nodes.list)
  list(input: InputOf<typeof nodes.list>) {
    return this.service.list(input);
  }

  @Handles(nodes.sync)
  sync(input: InputOf<typeof nodes.sync>) {
    return this.service.sync(input);
  }
}
