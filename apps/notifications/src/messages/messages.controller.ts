import { Controller } from '@nestjs/common';
import { type InputOf, notificationsOperations, type OutputOf } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';
import { MessagesService } from './messages.service';

const { list, publish } = notificationsOperations.messages;

@Controller()
export class MessagesController {
  constructor(private readonly messages: MessagesService) {}

  @Handles(publish)
  publish(input: InputOf<typeof publish>, { caller }: CallContext): Promise<OutputOf<typeof publish>> {
    return this.messages.publish(input, caller);
  }

  @Handles(list)
  list(input: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.messages.list(input);
  }
}
