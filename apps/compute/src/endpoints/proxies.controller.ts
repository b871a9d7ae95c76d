import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { EndpointsService } from './endpoints.service';

const { proxies } = computeOperations;

@Controller()
export class ProxiesController {
  constructor(private readonly service: EndpointsService) {}

  @Handles(proxies.sync)
  sync(input: InputOf<typeof proxies.sync>) {
    return this.service.sync(input);
  }
}
