/** All of Alto's services but the agent, for tests that ask far more than a caller may. */
import { serviceNames } from '@alto/contracts';
import { startServices, type TestServices } from '@alto/testing';

const many = '10000';

export function startAllServices(): Promise<TestServices> {
  return startServices({
    services: serviceNames.filter((name) => name !== 'node-agent'),
    env: {
      ALTO_RATE_LIMIT_ADDRESS_PER_SECOND: many,
      ALTO_RATE_LIMIT_KEY_PER_SECOND: many,
      ALTO_RATE_LIMIT_PROJECT_PER_SECOND: many,
      ALTO_RATE_LIMIT_OPERATOR_PER_SECOND: many,
    },
  });
}
