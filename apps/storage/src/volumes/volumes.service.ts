import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { AltoError } from '@alto/contracts';
import { Clock, CONFIG, Database, Health, Lifecycle, Log, ServiceDirectory } from '@alto/platform';
import type { StorageConfig } from '../config';
import { Volume } from './volume';
import { VolumesStore } from './volumes.store';

const seeEveryMs = 5_000;
/** An instance not seen for so long serves nothing any more. */
const seenForMs = 30_000;

/** Registers this instance's volume and tells which instance serves which. */
@Injectable()
export class VolumesService implements OnModuleInit, OnModuleDestroy {
  private readonly stopping = new AbortController();
  private registered = false;

  constructor(
    @Inject(CONFIG) private readonly config: StorageConfig,
    private readonly volume: Volume,
    private readonly store: VolumesStore,
    private readonly directory: ServiceDirectory,
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly health: Health,
    private readonly lifecycle: Lifecycle,
    private readonly log: Log,
  ) {}

  onModuleInit(): void {
    this.health.register('volume', () => this.volume.notWritable);
    // It learns who is there in the background: the first to ask must not find it empty.
    this.directory.start();
    this.lifecycle.onDrain(() => this.leave());
    void this.run(this.stopping.signal);
  }

  onModuleDestroy(): void {
    this.stopping.abort();
  }

  /** URL of a living instance that serves the volume, this one where possible. @throws AltoError `service_unavailable` */
  async urlOf(volume: string): Promise<string> {
    const since = new Date(this.clock.nowMs() - seenForMs);
    const serving = new Set(await this.store.serversOf(volume, since));
    const instances = this.directory
      .instances('storage')
      .filter(({ instance, state, httpUrl }) => serving.has(instance) && state === 'ready' && httpUrl !== null);
    const own = instances.find(({ instance }) => instance === this.config.ALTO_SERVICE_INSTANCE);
    const url = (own ?? instances[0])?.httpUrl;
    if (url) return url;
    throw new AltoError('service_unavailable', {
      message: `No storage instance serves volume ${volume} at present.`,
      nextStep: 'Start the storage service on the machine that has this disk.',
    });
  }

  private async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.db.whenReady(signal);
      if (!signal.aborted) await this.see();
      await delay(seeEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  private async see(): Promise<void> {
    try {
      if (!this.registered) this.registered = await this.register();
      if (!this.registered) return;
      const now = this.clock.now();
      const forgetBefore = new Date(now.getTime() - seenForMs * 10);
      await this.store.see(this.config.ALTO_SERVICE_INSTANCE, this.volume.id, now, forgetBefore);
      this.volume.admit();
    } catch (error) {
      this.log.warn('The volume could not be announced; trying again', { error });
    }
  }

  /**
   * A volume that has blobs but is unknown to the database belongs to another one: taking its files for orphans would
   * lose them, so such a volume is neither written nor swept.
   */
  private async register(): Promise<boolean> {
    if (await this.store.isKnown(this.volume.id)) return true;
    for await (const { name } of this.volume.files.list('blobs')) {
      this.volume.refuse(
        `volume ${this.volume.id} in ${this.volume.files.root} holds ${name}, but the database knows no such volume; ` +
          'give ALTO_STATE_DIR and ALTO_DATABASE_URL that belong together',
      );
      return false;
    }
    await this.store.add(this.volume.id, this.clock.now());
    return true;
  }

  private async leave(): Promise<void> {
    this.stopping.abort();
    if (this.db.notReady() === undefined) await this.store.leave(this.config.ALTO_SERVICE_INSTANCE);
  }
}
