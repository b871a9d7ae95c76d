/**
 * Looks at how endpoints answer: for compute, which judges rollouts by it, and to take out for a while those that fail
 * alone. Who is out is kept in a file; what was counted is not.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { InstanceTraffic } from '@alto/contracts';
import { Clock, CONFIG, Log } from '@alto/platform';
import type { LoadBalancerConfig } from '../config';
import type { EndpointTraffic, ProxyEngine } from '../proxy/proxy.engine';
import { EjectionsFile } from './ejections-file';
import type { Known } from './known';
import {
  type Ejection,
  ejections,
  judge,
  type JudgedPool,
  noOutliers,
  type Outliers,
  remembered,
  restored,
} from './outliers.state';
import { TrafficMetrics } from './traffic-metrics';

/** As many as a report may hold; the rest goes with the next. */
const reportedMax = 10_000;

@Injectable()
export class TrafficWatch {
  private outliers: Outliers = noOutliers;
  private out: ReadonlyMap<string, Ejection> = new Map();
  private traffic: readonly EndpointTraffic[] = [];
  /** Instance → requests that compute knows of. */
  private readonly told = new Map<string, number>();
  private readonly file: EjectionsFile;

  constructor(
    @Inject(CONFIG) private readonly config: LoadBalancerConfig,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly metrics: TrafficMetrics,
  ) {
    this.file = new EjectionsFile(config.ALTO_HAPROXY_DIR);
  }

  /** Instances that get no requests for a while because of how they answered. */
  get ejected(): ReadonlyMap<string, Ejection> {
    return this.out;
  }

  /** Takes up what the process that commands the proxy, or did, has decided. */
  async recall(): Promise<void> {
    this.outliers = restored(await this.file.read(), this.clock.nowMs());
    this.out = ejections(this.outliers);
  }

  /** @returns whether other instances are out than before */
  async look(engine: ProxyEngine, known: Known): Promise<boolean> {
    this.traffic = await engine.traffic();
    const limits = {
      baseMs: this.config.ALTO_PROXY_EJECTION_BASE_MS,
      maxMs: Math.max(this.config.ALTO_PROXY_EJECTION_BASE_MS, this.config.ALTO_PROXY_EJECTION_MAX_MS),
    };
    this.outliers = judge(this.outliers, judgedPools(known), this.traffic, this.clock.nowMs(), limits);
    const before = this.out;
    this.out = ejections(this.outliers);
    this.metrics.ejected.set(this.out.size);
    const came = [...this.out].filter(([instance]) => !before.has(instance));
    const went = [...before.keys()].filter((instance) => !this.out.has(instance));
    for (const [instance, { reason, untilMs }] of came) {
      this.metrics.ejections.inc();
      this.log.warn('An instance gets no requests for a while', {
        instance,
        reason,
        until: new Date(untilMs).toISOString(),
      });
    }
    for (const instance of went) this.log.info('An instance gets requests again', { instance });
    if (came.length + went.length === 0) return false;
    await this.file.write(remembered(this.outliers));
    return true;
  }

  /** What has changed since {@link wasTold} was last called. */
  news(): InstanceTraffic[] {
    return this.traffic
      .filter(({ endpoint, requests }) => this.told.get(endpoint) !== requests)
      .slice(0, reportedMax)
      .map(({ endpoint, requests, failures }) => ({ instance: endpoint, requests, failures }));
  }

  wasTold(news: readonly InstanceTraffic[]): void {
    for (const { instance, requests } of news) this.told.set(instance, requests);
    const known = new Set(this.traffic.map(({ endpoint }) => endpoint));
    for (const instance of this.told.keys()) if (!known.has(instance)) this.told.delete(instance);
  }
}

/**
 * Those that drain or weigh nothing are not meant to serve: they are neither judged nor siblings. While a rollout weighs
 * the instances of an app, it judges them itself.
 */
function judgedPools(known: Known): JudgedPool[] {
  return known.sets.flatMap(({ app, endpoints }) => {
    if (endpoints.some(({ weight }) => weight !== undefined)) return [];
    return { pool: app, endpoints: endpoints.flatMap(({ instance, state }) => (state === 'ready' ? [instance] : [])) };
  });
}
