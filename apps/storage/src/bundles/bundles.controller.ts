import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, storageOperations } from '@alto/contracts';
import { Handles } from '@alto/platform';
import { BundleContentService } from './bundle-content.service';
import { BundlesService } from './bundles.service';

const { get, list, locate } = storageOperations.bundles;

@Controller()
export class BundlesController {
  constructor(
    private readonly bundles: BundlesService,
    private readonly content: BundleContentService,
  ) {}

  @Handles(get)
  get({ project, bundle }: InputOf<typeof get>): Promise<OutputOf<typeof get>> {
    return this.bundles.get(project, bundle);
  }

  @Handles(list)
  list({ project, limit, cursor }: InputOf<typeof list>): Promise<OutputOf<typeof list>> {
    return this.bundles.list(project, limit, cursor);
  }

  @Handles(locate)
  locate(input: InputOf<typeof locate>): Promise<OutputOf<typeof locate>> {
    return this.content.locate(input);
  }
}
