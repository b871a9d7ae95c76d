import { readFile } from 'node:fs/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, Database, Health, Lifecycle, Log } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { parseHashLine } from '../keys/api-key';
import { KeysService } from '../keys/keys.service';
import { ProjectsService } from '../projects/projects.service';

/**
 * Makes the first operator key known and the default project exist. Every gateway does so at each start, and any
 * number of them at once: what is there already is left alone. Not ready until it is done.
 */
@Injectable()
export class FirstIdentity implements OnApplicationBootstrap {
  private done = false;
  private readonly stopping = new AbortController();

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly database: Database,
    private readonly keys: KeysService,
    private readonly projects: ProjectsService,
    private readonly log: Log,
    private readonly health: Health,
    lifecycle: Lifecycle,
  ) {
    this.health.register('first-identity', () =>
      this.done ? undefined : 'the first key and project are not made yet',
    );
    lifecycle.onDrain(() => this.stopping.abort());
  }

  onApplicationBootstrap(): void {
    void this.ensure();
  }

  private async ensure(): Promise<void> {
    const { signal } = this.stopping;
    while (!this.done && !signal.aborted) {
      await this.database.whenReady(signal);
      if (signal.aborted) return;
      try {
        await this.adoptOperatorKey();
        await this.makeDefaultProject();
        this.done = true;
        this.standOnItsOwn();
      } catch (error) {
        this.log.error('The first key and project could not be made; trying again', { error });
        await pause(1_000, signal);
      }
    }
  }

  /**
   * From now on the gateway is of use without PostgreSQL or NATS: it knows keys and routes, and says in words what is
   * away. Out of the load balancer it could not even do that.
   */
  private standOnItsOwn(): void {
    for (const dependency of ['database', 'nats']) this.health.register(dependency, () => undefined);
  }

  private async adoptOperatorKey(): Promise<void> {
    const file = this.config.ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE;
    if (file === undefined) return;
    const key = parseHashLine(await readFile(file, 'utf8'));
    if (!key) {
      throw new Error(`ALTO_BOOTSTRAP_ADMIN_KEY_HASH_FILE: ${file} is not one line "<id> <sha256 of the key in hex>"`);
    }
    await this.keys.adoptOperator(key.id, key.hash);
  }

  private async makeDefaultProject(): Promise<void> {
    const name = this.config.ALTO_DEFAULT_PROJECT;
    if (await this.projects.ensureAny(name)) this.log.info('Made the default project', { project: name });
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
