import { Controller } from '@nestjs/common';
import { type InputOf, secretOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { SecretsService } from './secrets.service';

@Controller()
export class SecretsController {
  constructor(private readonly service: SecretsService) {}

  @Handles(secretOperations.put)
  put(input: InputOf<typeof secretOperations.put>) {
    return this.service.put(input);
  }

  @Handles(secretOperations.get)
  get(input: InputOf<typeof secretOperations.get>) {
    return this.service.get(input);
  }

  @Handles(secretOperations.list)
  list(input: InputOf<typeof secretOperations.list>) {
    return this.service.list(input);
  }

  @Handles(secretOperations.delete)
  delete(input: InputOf<typeof secretOperations.delete>) {
    return this.service.delete(input);
  }
}
