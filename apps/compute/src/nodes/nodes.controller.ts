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

  @Handles(nodes.cordon)
  cordon({ node }: InputOf<typeof nodes.cordon>) {
    return this.service.setIntake(node, 'cordoned');
  }

  @Handles(nodes.drain)
  drain({ node }: InputOf<typeof nodes.drain>) {
    return this.service.setIntake(node, 'draining');
  }

  @Handles(nodes.uncordon)
  uncordon({ node }: InputOf<typeof nodes.uncordon>) {
    return this.service.setIntake(node, 'open');
  }

  @Handles(nodes.delete)
  delete({ node }: InputOf<typeof nodes.delete>) {
    return this.service.delete(node);
  }

  @Handles(nodes.sync)
  sync(input: InputOf<typeof nodes.sync>) {
    return this.service.sync(input);
  }
}
