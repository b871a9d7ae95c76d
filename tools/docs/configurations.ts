/** The configuration of every service, by the title of its section. */
import type { z } from 'zod';
import { serviceSettings } from '../../libs/platform/src/service/config';
import { computeConfig } from '../../apps/compute/src/config';
import { gatewayConfig } from '../../apps/gateway/src/config';
import { loadBalancerConfig } from '../../apps/load-balancer/src/config';
import { nodeAgentConfig } from '../../apps/node-agent/src/config';
import { notificationsConfig } from '../../apps/notifications/src/config';
import { searchConfig } from '../../apps/search/src/config';
import { storageConfig } from '../../apps/storage/src/config';

export interface Configuration {
  readonly title: string;
  readonly shape: Readonly<Record<string, z.ZodType>>;
}

/** The first section holds what every service has; the others are printed without it. */
export const configurations: readonly Configuration[] = [
  { title: 'Every service', shape: serviceSettings },
  { title: 'gateway', shape: gatewayConfig.shape },
  { title: 'compute', shape: computeConfig.shape },
  { title: 'node-agent', shape: nodeAgentConfig.shape },
  { title: 'storage', shape: storageConfig.shape },
  { title: 'load-balancer', shape: loadBalancerConfig.shape },
  { title: 'notifications', shape: notificationsConfig.shape },
  { title: 'search', shape: searchConfig.shape },
];
