/**
 * Changes that go on all the time, one of what each service owns, whatever is killed meanwhile. None that was
 * acknowledged may be missing later.
 */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  computeOperations,
  gatewayOperations,
  loadBalancerOperations,
  notificationsOperations,
  searchOperations,
  storageOperations,
} from '@alto/contracts';
import { AltoClient } from '@alto/sdk';
import { type Alto, eventually } from '@alto/testing';
import { changeApp, changeRoute, createKey, publish, putDocument, uploadBundle } from './changes';

const project = 'default';
const pauseMs = 100;
/** One that hangs should not keep the others from going on. */
const uploadTimeoutMs = 5_000;

type Change = (client: AltoClient, name: string, entry: number) => Promise<void>;

/** Something that is changed again and again, and its name → the entry that was acknowledged last. */
class Replaced {
  private number = 0;
  private readonly entries = new Map<string, number>();

  constructor(private readonly change: Change) {}

  /** One whose answer was lost gets no more: it may still be changed. */
  async replace(client: AltoClient, entry: number): Promise<void> {
    const name = `ledger-${this.number}`;
    try {
      await this.change(client, name, entry);
      this.entries.set(name, entry);
    } catch (error) {
      this.number++;
      throw error;
    }
  }

  acknowledged(): Map<string, number> {
    return new Map(this.entries);
  }
}

export class Ledger {
  private readonly messages: string[] = [];
  private readonly documents: string[] = [];
  private readonly keys: { id: string; key: string }[] = [];
  private readonly bundles: { id: string; sha256: string }[] = [];
  private readonly apps = new Replaced(changeApp);
  private readonly routes = new Replaced(changeRoute);
  /** How many of each kind have been read back. */
  private read = { documents: 0, bundles: 0 };
  /** How often all services have acknowledged a change. */
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

  /** As `verify`, and reads the content of everything again. */
  async verifyAll(): Promise<void> {
    this.read = { documents: 0, bundles: 0 };
    await this.verify();
  }

  /** Everything that was acknowledged so far is there; content is read of what came since the last time. */
  async verify(): Promise<void> {
    const apps = this.apps.acknowledged();
    const routes = this.routes.acknowledged();
    await Promise.all([this.verifyLists(), this.verifyDocuments(), this.verifyBundles(), this.verifyKey()]);
    const { client } = this.alto;
    for (const [app, entry] of apps) {
      const { spec } = await client.call(computeOperations.apps.get, { project, app });
      expect(Number(spec.env.ENTRY)).toBeGreaterThanOrEqual(entry);
    }
    for (const [route, entry] of routes) {
      const { path } = await client.call(loadBalancerOperations.routes.get, { project, route });
      expect(Number(path.slice(1))).toBeGreaterThanOrEqual(entry);
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.writing;
  }

  private async verifyLists(): Promise<void> {
    const { client } = this.alto;
    const page = { project, limit: 100 };
    const topic = { ...page, topic: 'ledger' };
    const bundles = this.bundles.map(({ sha256 }) => sha256);
    const keys = this.keys.map(({ id }) => id);
    const messages = [...this.messages];
    const kept = new Set<string>();
    for await (const { id } of client.listAll(notificationsOperations.messages.list, topic)) kept.add(id);
    for await (const { id } of client.listAll(gatewayOperations.keys.list, page)) kept.add(id);
    for await (const { sha256 } of client.listAll(storageOperations.bundles.list, page)) kept.add(sha256);
    const missing = (all: string[]) => all.filter((one) => !kept.has(one));
    expect({ messages: missing(messages), keys: missing(keys), bundles: missing(bundles) }).toEqual({
      messages: [],
      keys: [],
      bundles: [],
    });
  }

  private async verifyDocuments(): Promise<void> {
    const missing: string[] = [];
    const added = this.documents.slice(this.read.documents);
    for (const document of added) {
      const address = { project, index: 'ledger', document };
      await this.alto.client.call(searchOperations.documents.get, address).catch(() => missing.push(document));
    }
    expect(missing).toEqual([]);
    this.read.documents += added.length;
  }

  private async verifyBundles(): Promise<void> {
    const added = this.bundles.slice(this.read.bundles);
    for (const { id, sha256 } of added) {
      const { body } = await this.alto.client.download(storageOperations.bundles.download, { project, bundle: id });
      const content = await buffer(body);
      expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    }
    this.read.bundles += added.length;
  }

  /** The newest is let in. */
  private async verifyKey(): Promise<void> {
    const { key } = this.keys.at(-1)!;
    const holder = new AltoClient({ baseUrl: this.alto.apiUrl, apiKey: key });
    expect(await holder.call(gatewayOperations.identity.get, {})).toMatchObject({ project: { name: project } });
  }

  private async write(client: AltoClient): Promise<void> {
    for (let entry = 1; !this.stopping; entry++) {
      const changes = [
        publish(client, entry).then((id) => this.messages.push(id)),
        putDocument(client, entry).then((document) => this.documents.push(document)),
        createKey(client, entry).then((key) => this.keys.push(key)),
        uploadBundle(client, entry, uploadTimeoutMs).then((bundle) => this.bundles.push(bundle)),
        this.apps.replace(client, entry),
        this.routes.replace(client, entry),
      ];
      const results = await Promise.allSettled(changes);
      if (results.every(({ status }) => status === 'fulfilled')) this.rounds++;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
