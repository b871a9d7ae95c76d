/** Changes that go on all the time, whatever is killed meanwhile. None that was acknowledged may be missing later. */
import { computeOperations, notificationsOperations, searchOperations } from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { type Alto, eventually } from '@alto/testing';

const project = 'default';
const pauseMs = 100;

export class Ledger {
  private readonly messages = new Set<string>();
  private readonly documents: string[] = [];
  /** App → the entry that was acknowledged last. One whose answer was lost gets no more: it may still be changed. */
  private readonly apps: number[] = [0];
  /** How often all three services have acknowledged a change. */
  private rounds = 0;
  private stopping = false;
  private readonly writing: Promise<void>;

  constructor(private readonly alto: Alto) {
    const { apiUrl: baseUrl, adminKey: apiKey } = alto;
    this.writing = this.write(new AltoClient({ baseUrl, apiKey, retry: { retriesMax: 0 }, timeoutMs: 5_000 }));
  }

  /** Waits for changes that were begun and acknowledged from now on. */
  async goesOn(withinMs: number): Promise<void> {
    const next = this.rounds + 2;
    await eventually(() => this.rounds >= next, { withinMs });
  }

  /** Everything that was acknowledged so far is there. */
  async verify(): Promise<void> {
    const acknowledged = { messages: [...this.messages], documents: [...this.documents], apps: [...this.apps] };
    const { client } = this.alto;
    const kept = new Set<string>();
    const topic = { project, topic: 'ledger', limit: 100 };
    for await (const { id } of client.listAll(notificationsOperations.messages.list, topic)) kept.add(id);
    expect(acknowledged.messages.filter((id) => !kept.has(id))).toEqual([]);
    const missing: string[] = [];
    for (const document of acknowledged.documents) {
      const address = { project, index: 'ledger', document };
      await client.call(searchOperations.documents.get, address).catch(() => missing.push(document));
    }
    expect(missing).toEqual([]);
    for (const [number, entry] of acknowledged.apps.entries()) {
      if (entry === 0) continue;
      const { spec } = await client.call(computeOperations.apps.get, { project, app: `ledger-${number}` });
      expect(Number(spec.env.ENTRY)).toBeGreaterThanOrEqual(entry);
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.writing;
  }

  private async write(client: AltoClient): Promise<void> {
    for (let entry = 1; !this.stopping; entry++) {
      const changes = [this.publish(client, entry), this.index(client, entry), this.changeApp(client, entry)];
      const results = await Promise.allSettled(changes);
      if (results.every(({ status }) => status === 'fulfilled')) this.rounds++;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  private async publish(client: AltoClient, entry: number): Promise<void> {
    const message = { project, topic: 'ledger', body: { entry } };
    const { id } = await client.call(notificationsOperations.messages.publish, message);
    this.messages.add(id);
  }

  private async index(client: AltoClient, entry: number): Promise<void> {
    const address = { project, index: 'ledger', document: `entry-${entry}` };
    await client.call(searchOperations.documents.put, { ...address, fields: { title: 'acknowledged' } });
    this.documents.push(address.document);
  }

  private async changeApp(client: AltoClient, entry: number): Promise<void> {
    const number = this.apps.length - 1;
    const address = { project, app: `ledger-${number}` };
    const spec = { command: ['node', '-e', '0'], env: { ENTRY: String(entry) }, replicas: 0 };
    try {
      await client.call(computeOperations.apps.put, { ...address, ...spec });
      this.apps[number] = entry;
    } catch (error) {
      this.apps.push(0);
      throw error;
    }
  }
}
