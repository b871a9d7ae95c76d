import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, gatewayOperations } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';
import { KeysService } from './keys.service';

const { keys: ofProject, operatorKeys: ofCluster } = gatewayOperations;

@Controller()
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Handles(ofProject.create)
  create(
    { project, ...wanted }: InputOf<typeof ofProject.create>,
    { caller }: CallContext,
  ): Promise<OutputOf<typeof ofProject.create>> {
    return this.keys.create(project, wanted, caller);
  }

  @Handles(ofProject.createNats)
  createNats(
    { project, ...wanted }: InputOf<typeof ofProject.createNats>,
    { caller }: CallContext,
  ): Promise<OutputOf<typeof ofProject.createNats>> {
    return this.keys.createNats(project, wanted, caller);
  }

  @Handles(ofProject.list)
  list({ project, ...page }: InputOf<typeof ofProject.list>): Promise<OutputOf<typeof ofProject.list>> {
    return this.keys.list(project, page);
  }

  @Handles(ofProject.rotate)
  rotate(
    { project, key, overlapMs }: InputOf<typeof ofProject.rotate>,
    { caller }: CallContext,
  ): Promise<OutputOf<typeof ofProject.rotate>> {
    return this.keys.rotate(project, key, overlapMs, caller);
  }

  @Handles(ofProject.revoke)
  revoke({ project, key }: InputOf<typeof ofProject.revoke>): Promise<OutputOf<typeof ofProject.revoke>> {
    return this.keys.revoke(project, key);
  }

  @Handles(ofCluster.create)
  createForCluster(
    wanted: InputOf<typeof ofCluster.create>,
    { caller }: CallContext,
  ): Promise<OutputOf<typeof ofCluster.create>> {
    return this.keys.create(null, { ...wanted, role: 'operator' }, caller);
  }

  @Handles(ofCluster.list)
  listOfCluster(page: InputOf<typeof ofCluster.list>): Promise<OutputOf<typeof ofCluster.list>> {
    return this.keys.list(null, page);
  }

  @Handles(ofCluster.rotate)
  rotateOfCluster(
    { key, overlapMs }: InputOf<typeof ofCluster.rotate>,
    { caller }: CallContext,
  ): Promise<OutputOf<typeof ofCluster.rotate>> {
    return this.keys.rotate(null, key, overlapMs, caller);
  }

  @Handles(ofCluster.revoke)
  revokeOfCluster({ key }: InputOf<typeof ofCluster.revoke>): Promise<OutputOf<typeof ofCluster.revoke>> {
    return this.keys.revoke(null, key);
  }
}
