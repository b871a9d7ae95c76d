import { Controller } from '@nestjs/common';
import { type InputOf, type OutputOf, AltoError, gatewayOperations, grantedTo } from '@alto/contracts';
import { type CallContext, Handles } from '@alto/platform';

const { get } = gatewayOperations.identity;

@Controller()
export class IdentityController {
  @Handles(get)
  get(_input: InputOf<typeof get>, { caller }: CallContext): OutputOf<typeof get> {
    if (caller.kind !== 'key') throw new AltoError('unauthenticated', 'Only users have an identity to ask for.');
    const project = caller.project === null ? null : { id: caller.project, name: caller.projectName ?? caller.project };
    return { key: caller.id, role: caller.role, project, permissions: grantedTo(caller.role, caller.scopes) };
  }
}
