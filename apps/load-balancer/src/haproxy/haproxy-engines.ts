/** The HAProxy of this machine, as the service's settings describe it. */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, Log } from '@alto/platform';
import { type LoadBalancerConfig, parseAddresses } from '../config';
import { readIfThere } from '../durable-file';
import { type ProxyEngine, ProxyEngines, type TargetReport } from '../proxy/proxy.engine';
import { HaproxyEngine, type HaproxyOptions } from './haproxy.engine';
import { readLayout } from './layout-file';
import { HaproxyRuntime, socketsIn } from './runtime';
import { targetsIn } from './targets';

@Injectable()
export class HaproxyEngines extends ProxyEngines {
  constructor(
    @Inject(CONFIG) private readonly config: LoadBalancerConfig,
    private readonly log: Log,
  ) {
    super();
  }

  open(): Promise<ProxyEngine> {
    return HaproxyEngine.open(optionsOf(this.config), this.log);
  }

  async targets(pool: string): Promise<TargetReport[]> {
    const { folder, runFolder } = optionsOf(this.config);
    const text = await readIfThere(join(folder, 'layout.json'));
    return text === undefined ? [] : targetsIn(readLayout(text), new HaproxyRuntime(socketsIn(runFolder)), pool);
  }
}

function optionsOf(config: LoadBalancerConfig): HaproxyOptions {
  const folder = resolve(config.ALTO_HAPROXY_DIR);
  return {
    command: config.ALTO_HAPROXY_COMMAND,
    folder,
    runFolder: resolve(config.ALTO_HAPROXY_RUN_DIR ?? folder),
    settings: {
      host: config.ALTO_PUBLIC_HOST,
      apps: { name: 'apps', port: config.ALTO_APPS_PORT },
      services: [
        { name: 'api', port: config.ALTO_API_PORT, targets: parseAddresses(config.ALTO_GATEWAY_TARGETS) },
        { name: 's3', port: config.ALTO_S3_PORT, targets: parseAddresses(config.ALTO_STORAGE_TARGETS) },
      ],
      connectionsMax: config.ALTO_HAPROXY_MAXCONN,
      connectionsPerAddressMax:
        config.ALTO_PROXY_CONNECTIONS_PER_ADDRESS || Math.floor(config.ALTO_HAPROXY_MAXCONN / 2),
      threads: config.ALTO_PROXY_THREADS || Math.max(1, Math.floor(availableParallelism() / 2)),
      serverTimeoutMs: config.ALTO_PROXY_SERVER_TIMEOUT_MS,
      streamTimeoutMs: config.ALTO_PROXY_STREAM_TIMEOUT_MS,
      slowStartMs: config.ALTO_PROXY_SLOW_START_MS,
      accessLog: config.ALTO_PROXY_ACCESS_LOG === 'on',
    },
  };
}
