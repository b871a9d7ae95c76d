import { Controller } from '@nestjs/common';
import { masterKeyOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { MasterKeysService } from './master-keys.service';

@Controller()
export class MasterKeysController {
  constructor(private readonly service: MasterKeysService) {}

  @Handles(masterKeyOperations.list)
  list() {
    return this.service.list();
  }

  @Handles(masterKeyOperations.inspect)
  inspect() {
    return this.service.list();
  }
}
