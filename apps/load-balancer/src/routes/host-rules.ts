/** Who may claim which host name. Pure. */
import { AltoError } from '@alto/contracts';

export interface Claimant {
  readonly isOperator: boolean;
  readonly projectName: string | null;
}

/**
 * Names under the apps' domain are `<anything>.<project>.<domain>` and belong to that project, whether it exists yet or
 * not. The domain itself and `*` are for the operator, everything else is for who comes first.
 * @throws AltoError forbidden, or already_exists where saying more would tell about another project
 */
export function refuseHost(host: string, domain: string, claimant: Claimant): void {
  if (claimant.isOperator) return;
  if (host === '*' || host === domain) {
    throw new AltoError('forbidden', {
      message: `host: only an operator may lead ${host === '*' ? 'every host that nothing else matches' : host} to an app`,
      field: 'host',
      nextStep: 'Choose a host name of your own, or ask an operator of this cloud.',
    });
  }
  if (!host.endsWith(`.${domain}`)) return;
  const owner = host
    .slice(0, -domain.length - 1)
    .split('.')
    .at(-1);
  if (owner !== claimant.projectName) throw taken(host);
}

/** Does not tell whose it is. */
export function taken(host: string): AltoError {
  return new AltoError('already_exists', {
    message: `host: ${host} is taken`,
    field: 'host',
    nextStep: 'Choose another host name.',
  });
}
