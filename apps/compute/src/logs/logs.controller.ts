import { Controller } from '@nestjs/common';
import { computeOperations, type InputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { LogsService } from './logs.service';

const { logs } = computeOperations;

@Controller()
export class LogsController {
  constructor(private readonly service: LogsService) {}

  @Handles(logs.read)
  read(input: InputOf<typeof logs.read>) {
    return this.service.read(input);
  }
}
