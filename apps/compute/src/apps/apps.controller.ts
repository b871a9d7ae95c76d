import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';
import { AppsService } from './apps.service';

const { apps } = computeOperations;

@Controller()
export class AppsController {
  constructor(private readonly service: AppsService) {}

  @Handles(apps.put)
  put(input: InputOf<typeof apps.put>, call: CallContext) {
    return this.service.put(input, call);
  }

  @Handles(apps.get)
  get(input: InputOf<typeof apps.get>) {
    return this.service.get(input);
  }

  @Handles(apps.list)
  list(input: InputOf<typeof apps.list>) {
    return this.service.list(input);
  }

  @Handles(apps.scale)
  scale(input: InputOf<typeof apps.scale>, call: CallContext) {
    return this.service.scale(input, call);
  }

  @Handles(apps.restart)
  restart(input: InputOf<typeof apps.restart>) {
    return this.service.restart(input);
  }

  @Handles(apps.rollback)
  rollback(input: InputOf<typeof apps.rollback>, call: CallContext) {
    return this.service.rollback(input, call);
  }

  @Handles(apps.delete)
  delete(input: InputOf<typeof apps.delete>) {
    return this.service.delete(input);
  }
}
