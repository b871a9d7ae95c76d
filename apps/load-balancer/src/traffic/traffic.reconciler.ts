/**
 * Keeps one proxy at what compute says of endpoints and the database of routes. Each round asks for what is new,
 * writes it down, applies it and reports; whatever does not answer is passed over, and what was last known stays.
 *
 *     waiting (another process commands the proxy) ──its lock is free──▶ commanding ──drain──▶ ended
 */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { AltoError, computeOperations, type RequestOf } from '@alto/contracts';
import { AltoClient, Bell, CONFIG, Health, Lifecycle, Log, type MessageSubscription } from '@alto/platform';
import type { LoadBalancerConfig } from '../config';
import {
  AnotherWriterError,
  type Applied,
  type ProxyEngine,
  ProxyEngines,
  type TargetReport,
} from '../proxy/proxy.engine';
import { type EndpointNews, type Known, learnEndpoints, learnRoutes, nothingKnown, specOf } from './known';
import { KnownFile } from './known-file';
import { RouteSource } from './route-source';
import { TrafficMetrics } from './traffic-metrics';
import { TrafficWatch } from './traffic-watch';

/** Nudges every load balancer to read the routes again. */
export const routesNudge = 'alto.nudge.proxy.routes';

const unsettledRetryMs = 250;
const lockRetryMs = 250;
const syncTimeoutMs = 2_000;
/** As many as a report may hold; with more, compute waits as for a proxy that cannot tell. */
const busyMax = 5_000;
/** Of a list of every set; a proxy holds fewer apps. */
const setsMax = 100_000;

type Report = RequestOf<typeof computeOperations.proxies.sync>;

@Injectable()
export class TrafficReconciler implements OnModuleInit {
  private current: Known = nothingKnown('');
  private engine: ProxyEngine | undefined;
  /** What compute is told: the proxy has settled on this generation. */
  private appliedGeneration = 0;
  private applied: Applied = { settled: false, reason: 'Nothing has been applied yet.' };
  /** What was lost of the known: nothing is applied before all of it has been learned again. */
  private unknown = new Set<'endpoints' | 'routes'>();
  private notReady: string | undefined = 'the files of the proxy are not written yet';
  /** Compute judges a rollout by what is counted here, and wants each look told, until it says otherwise. */
  private reportWithinMs: number | undefined;
  private readonly bell = new Bell();
  private readonly lookBell = new Bell();
  private readonly stopping = new AbortController();
  private readonly subscriptions: MessageSubscription[] = [];
  private readonly file: KnownFile;
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    @Inject(CONFIG) private readonly config: LoadBalancerConfig,
    private readonly log: Log,
    private readonly client: AltoClient,
    private readonly engines: ProxyEngines,
    private readonly routes: RouteSource,
    private readonly lifecycle: Lifecycle,
    private readonly health: Health,
    private readonly metrics: TrafficMetrics,
    private readonly watch: TrafficWatch,
  ) {
    this.file = new KnownFile(config.ALTO_HAPROXY_DIR);
  }

  /** Resolves when the proxy's files are there, so that HAProxy can be started once the service is ready. */
  async onModuleInit(): Promise<void> {
    this.health.register('proxy', () => this.notReady);
    this.lifecycle.onDrain(() => this.stop());
    await this.tryToCommand();
    this.running = Promise.all([this.run(), this.lookOut()]);
  }

  get known(): Known {
    return this.current;
  }

  /** What keeps the proxy from being as it should, in words; empty when nothing does. */
  get reason(): string {
    return this.applied.reason;
  }

  /** What the proxy found out about the targets of an app, whichever process commands it. */
  targets(app: string): Promise<TargetReport[]> {
    return (this.engine ?? this.engines).targets(app);
  }

  /** Instances that get no requests for a while because they alone of their app fail. */
  get ejected(): TrafficWatch['ejected'] {
    return this.watch.ejected;
  }

  /** Makes a change of the routes effective soon, here and at every other load balancer. */
  routesChanged(): void {
    this.bell.ring();
    this.client.publish(routesNudge);
  }

  private async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
    for (const subscription of this.subscriptions.splice(0)) subscription.unsubscribe();
    await this.engine?.close();
    this.engine = undefined;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted && this.engine === undefined) {
      await this.bell.wait(lockRetryMs, signal);
      if (!signal.aborted) await this.tryToCommand();
    }
    while (!signal.aborted) {
      const again = await this.round();
      const waitMs = this.applied.settled ? this.config.ALTO_PROXY_SYNC_INTERVAL_MS : unsettledRetryMs;
      if (!again) await this.bell.wait(Math.min(waitMs, this.config.ALTO_PROXY_SYNC_INTERVAL_MS), signal);
    }
  }

  /** Beside the rounds, since it must notice an instance that fails sooner than they come. */
  private async lookOut(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const waitMs = this.config.ALTO_PROXY_WATCH_INTERVAL_MS;
      await this.lookBell.wait(Math.min(waitMs, this.reportWithinMs ?? waitMs), signal);
      if (signal.aborted) return;
      try {
        if (this.engine === undefined) await this.watch.recall();
        else if ((await this.watch.look(this.engine, this.current)) || this.reportWithinMs !== undefined)
          this.bell.ring();
      } catch (error) {
        this.log.warn('How instances answer could not be read from the proxy', { error });
      }
    }
  }

  private async tryToCommand(): Promise<void> {
    try {
      const engine = await this.engines.open();
      await this.begin(engine);
    } catch (error) {
      if (error instanceof AnotherWriterError) {
        this.notReady = undefined;
        this.current = (await this.file.peek()) ?? this.current;
      } else {
        this.fail(error);
      }
    }
  }

  private async begin(engine: ProxyEngine): Promise<void> {
    const { known, lost } = await this.file.read().catch(async (error: unknown) => {
      await engine.close();
      throw error;
    });
    await this.watch.recall();
    this.current = known;
    this.engine = engine;
    this.unknown = new Set(lost ? ['endpoints', 'routes'] : []);
    if (lost) this.log.error('What was known of endpoints and routes could not be read; asking for it anew');
    else await this.file.write(known);
    this.log.info('Commanding the proxy', { proxy: known.proxy, generation: known.generation });
    for (const subject of [`alto.nudge.proxy.${known.proxy}`, routesNudge]) {
      this.subscriptions.push(this.client.subscribe(subject, () => this.bell.ring()));
    }
    await this.apply();
  }

  /** @returns true when there is more to do at once */
  private async round(): Promise<boolean> {
    try {
      const before = this.current;
      const reported = this.appliedGeneration;
      await this.askForRoutes();
      await this.askForEndpoints();
      if (this.current !== before) await this.file.write(this.current);
      await this.apply();
      return this.appliedGeneration !== reported;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  private async askForEndpoints(): Promise<void> {
    const { proxy } = this.current;
    const { busy } = this.applied;
    const tellsBusy = busy !== undefined && busy.length <= busyMax;
    const traffic = this.watch.news();
    const report = { proxy, appliedGeneration: this.appliedGeneration, ...(tellsBusy && { busy: [...busy] }) };
    try {
      const news = await this.everyPage(report, traffic);
      this.watch.wasTold(traffic);
      this.reportSoon(news.reportWithinMs);
      const learned = learnEndpoints(this.current, news);
      if (!same(learned, this.current)) this.current = learned;
      this.unknown.delete('endpoints');
    } catch (error) {
      if (!(error instanceof AltoError)) throw error;
      this.log.debug('Compute does not answer; the last known endpoints stay', { error });
    }
  }

  /** Told for the first time, it looks at once: how the old instances answer now is what the new ones are compared with. */
  private reportSoon(withinMs: number | undefined): void {
    if (withinMs !== undefined && this.reportWithinMs === undefined) this.lookBell.ring();
    this.reportWithinMs = withinMs;
  }

  /** A list of every set is taken up when it is whole: with a part of it, apps that serve would be forgotten. */
  private async everyPage(
    report: Report,
    traffic: Report['traffic'],
  ): Promise<EndpointNews & { readonly reportWithinMs: number | undefined }> {
    const ask = (input: Report) =>
      this.client.call(computeOperations.proxies.sync, input, { timeoutMs: syncTimeoutMs, patienceMs: 0 });
    let page = await ask({ ...report, ...(traffic?.length && { traffic }) });
    const sets = [...page.sets];
    while (page.more === true && sets.length < setsMax) {
      page = await ask({ ...report, listedTo: page.generation });
      sets.push(...page.sets);
    }
    return { generation: page.generation, complete: page.complete, sets, reportWithinMs: page.reportWithinMs };
  }

  private async askForRoutes(): Promise<void> {
    try {
      const generation = await this.routes.generation();
      if (generation !== this.current.routesGeneration || this.unknown.has('routes'))
        this.current = learnRoutes(this.current, generation, await this.routes.everything());
      this.unknown.delete('routes');
    } catch (error) {
      this.log.debug('The database does not answer; the last known routes stay', { error });
    }
  }

  private async apply(): Promise<void> {
    if (this.engine === undefined || this.unknown.size > 0) return;
    const { current } = this;
    const spec = specOf(current, this.config.ALTO_APPS_DOMAIN, this.watch.ejected);
    const stopTimer = this.metrics.applySeconds.startTimer();
    const applied = await this.engine.apply(spec);
    stopTimer();
    if (applied.reason !== '' && applied.reason !== this.applied.reason) {
      this.log.warn('The proxy is not yet as it should be', { reason: applied.reason });
    }
    this.applied = applied;
    this.notReady = undefined;
    if (applied.settled) this.appliedGeneration = current.generation;
    this.metrics.apps.set(spec.pools.length);
    this.metrics.hosts.set(spec.hosts.length);
    this.metrics.settled.set(applied.settled ? 1 : 0);
    this.metrics.appliedGeneration.set(this.appliedGeneration);
  }

  private fail(error: unknown): void {
    this.notReady = `the files of the proxy cannot be written: ${(error as Error).message}`;
    this.applied = { settled: false, reason: (error as Error).message };
    this.metrics.failures.inc();
    this.metrics.settled.set(0);
    this.log.error('The proxy could not be brought to what is known; trying on', { error });
  }
}

function same(one: Known, other: Known): boolean {
  return one.generation === other.generation && JSON.stringify(one.sets) === JSON.stringify(other.sets);
}
