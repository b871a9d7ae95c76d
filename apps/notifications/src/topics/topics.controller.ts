import { Controller } from '@nestjs/common';
import { type InputOf, notificationsOperations, type OutputOf } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { TopicsService } from './topics.service';

const { list } = notificationsOperations.topics;

@Controller()
export class TopicsController {
  constructor(private readonly topics: TopicsService) {}

  @Handles(list)
  list({ project, limit, cursor }: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.topics.list(project, limit, cursor);
  }
}
