import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, searchOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { DocumentsService } from './documents.service';

const { put, get, delete: remove } = searchOperations.documents;

@Controller()
export class DocumentsController {
  constructor(private readonly documents: DocumentsService) {}

  @Handles(put)
  put(input: InputOf<typeof put>): Promise<OutputOf<typeof put>> {
    return this.documents.put(input);
  }

  @Handles(get)
  get(input: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return this.documents.get(input);
  }

  @Handles(remove)
  async delete(input: InputOf<typeof remove>): Promise<OutputOf<typeof remove>> {
    await this.documents.delete(input);
    return {};
  }
}
