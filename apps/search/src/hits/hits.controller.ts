import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, searchOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { HitsService } from './hits.service';

const { list } = searchOperations.hits;

@Controller()
export class HitsController {
  constructor(private readonly hits: HitsService) {}

  @Handles(list)
  list(input: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.hits.list(input);
  }
}
