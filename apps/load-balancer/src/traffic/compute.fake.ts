/** Compute for tests, over real NATS: it tells proxies of endpoint sets and notes what they report. */
import { computeOperations, type EndpointSet, type InputOf, type OutputOf } from '@alto/contracts';
import { connect, type NatsConnection } from '@nats-io/transport-node';

type Report = InputOf<typeof computeOperations.proxies.sync>;
type Answer = OutputOf<typeof computeOperations.proxies.sync>;

export class FakeCompute {
  generation = 0;
  /** Of the last report. */
  applied: number | undefined;
  busy: string[] | undefined;
  /** Instance → what was told of it last. */
  readonly traffic = new Map<string, { requests: number; failures: number }>();
  /** So many reports have come. */
  reports = 0;
  /** How soon it wants to hear how instances answer, if at all. */
  reportWithinMs: number | undefined;
  /** Sets in an answer at most. */
  pageMax = 500;
  /** While true it answers nobody. */
  isSilent = false;
  private readonly sets = new Map<string, EndpointSet>();
  private proxy: string | undefined;

  private constructor(private readonly connection: NatsConnection) {
    connection.subscribe(computeOperations.proxies.sync.subject, {
      callback: (_, message) => {
        if (!this.isSilent) message.respond(JSON.stringify(this.answer(message.json())));
      },
    });
  }

  static async start(natsUrl: string): Promise<FakeCompute> {
    return new FakeCompute(await connect({ servers: natsUrl }));
  }

  tell(set: EndpointSet): void {
    this.generation++;
    this.sets.set(set.app, { ...set, generation: this.generation });
    this.nudge();
  }

  nudge(): void {
    if (this.proxy !== undefined) this.connection.publish(`alto.nudge.proxy.${this.proxy}`, 'null');
  }

  async stop(): Promise<void> {
    await this.connection.close();
  }

  private answer({ proxy, appliedGeneration, listedTo, busy, traffic = [] }: Report): Answer {
    this.reports++;
    for (const { instance, requests, failures } of traffic) this.traffic.set(instance, { requests, failures });
    this.proxy = proxy;
    this.applied = appliedGeneration;
    this.busy = busy;
    const isList = listedTo !== undefined || appliedGeneration === 0;
    const since = listedTo ?? appliedGeneration;
    const news = [...this.sets.values()]
      .filter(({ generation }) => generation > since)
      .sort((one, other) => one.generation - other.generation);
    const sets = news.slice(0, this.pageMax);
    const isAll = sets.length === news.length;
    const generation = sets.at(-1)?.generation ?? since;
    const { reportWithinMs } = this;
    return {
      ...{ generation, complete: isList && isAll, sets },
      ...(isList && !isAll && { more: true }),
      ...(reportWithinMs !== undefined && { reportWithinMs }),
    };
  }
}
