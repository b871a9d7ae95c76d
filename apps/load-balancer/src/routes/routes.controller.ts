import { Controller } from '@nestjs/common';
import { type InputOf, loadBalancerOperations } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';
import { RoutesService } from './routes.service';

const { routes } = loadBalancerOperations;

@Controller()
export class RoutesController {
  constructor(private readonly service: RoutesService) {}

  @Handles(routes.put)
  put(input: InputOf<typeof routes.put>, call: CallContext) {
    return this.service.put(input, call);
  }

  @Handles(routes.get)
  get(input: InputOf<typeof routes.get>) {
    return this.service.get(input);
  }

  @Handles(routes.list)
  list(input: InputOf<typeof routes.list>) {
    return this.service.list(input);
  }

  @Handles(routes.delete)
  delete(input: InputOf<typeof routes.delete>) {
    return this.service.delete(input);
  }
}
