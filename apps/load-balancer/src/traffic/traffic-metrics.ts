/** What `/metrics` says of the proxy. */
import { Injectable } from '@nestjs/common';
import { Metrics } from '@alto/platform';
import { Counter, Gauge, Histogram } from 'prom-client';

@Injectable()
export class TrafficMetrics {
  readonly applySeconds: Histogram;
  readonly failures: Counter;
  readonly settled: Gauge;
  readonly appliedGeneration: Gauge;
  readonly apps: Gauge;
  readonly hosts: Gauge;
  readonly ejected: Gauge;
  readonly ejections: Counter;

  constructor({ registry }: Metrics) {
    const registers = [registry];
    const gauge = (name: string, help: string) => new Gauge({ name: `alto_proxy_${name}`, help, registers });
    this.applySeconds = new Histogram({
      name: 'alto_proxy_apply_seconds',
      help: 'Time from a change that is known to its being in the running proxy, or to giving up for this round',
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 10],
      registers,
    });
    this.failures = new Counter({
      name: 'alto_proxy_failures_total',
      help: 'Rounds in which the files of the proxy could not be written',
      registers,
    });
    this.settled = gauge('settled', '1 while the running proxy is as it should be');
    this.appliedGeneration = gauge('applied_generation', 'Generation of endpoint sets that the proxy has settled on');
    this.apps = gauge('apps', 'Apps that the proxy knows');
    this.ejected = gauge('ejected', 'Instances that get no requests for a while because they alone of their app fail');
    this.ejections = new Counter({
      name: 'alto_proxy_ejections_total',
      help: 'How often an instance was taken out because it alone of its app failed',
      registers,
    });
    this.hosts = gauge('hosts', 'Host names that lead to an app');
  }
}
