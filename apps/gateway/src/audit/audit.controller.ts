import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, gatewayOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { AuditLog } from './audit-log.service';

const { list, listAll } = gatewayOperations.audit;

@Controller()
export class AuditController {
  constructor(private readonly log: AuditLog) {}

  @Handles(list)
  list(input: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.log.list(input);
  }

  @Handles(listAll)
  listAll(input: InputOf<typeof listAll>): Promise<OutputOf<typeof listAll>> {
    return this.log.list(input);
  }
}
