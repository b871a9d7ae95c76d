import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, gatewayOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { KeysService } from './keys.service';

const { create, list, revoke } = gatewayOperations.keys;

@Controller()
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Handles(create)
  create(input: InputOf<typeof create>): Promise<OutputOf<typeof create>> {
    return this.keys.create(input);
  }

  @Handles(list)
  list(input: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.keys.list(input);
  }

  @Handles(revoke)
  revoke(input: InputOf<typeof revoke>): Promise<OutputOf<typeof revoke>> {
    return this.keys.revoke(input);
  }
}
