import { nodeAgentOperations, type InputOf, type OutputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { Controller } from '@nestjs/common';
import { InstanceLogs } from './instance-logs';

@Controller()
export class LogsController {
  constructor(private readonly logs: InstanceLogs) {}

  @Handles(nodeAgentOperations.logs.read)
  read(input: InputOf<typeof nodeAgentOperations.logs.read>): Promise<OutputOf<typeof nodeAgentOperations.logs.read>> {
    return this.logs.read(input);
  }
}
