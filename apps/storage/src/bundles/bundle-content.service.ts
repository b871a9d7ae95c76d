/** Gets the bytes of bundles to whoever fetches them: users through the gateway, agents and peers by presigned address. */
import { Inject, Injectable } from '@nestjs/common';
import { Readable } from 'node:stream';
import { Counter } from 'prom-client';
import { AltoError, type InputOf, type OutputOf, storageOperations } from '@alto/contracts';
import { Clock, CONFIG, Log, Metrics } from '@alto/platform';
import type { BlobReader } from '../blobs/blob-reader';
import { BlobsService } from '../blobs/blobs.service';
import type { StorageConfig } from '../config';
import { VolumesService } from '../volumes/volumes.service';
import { BundlesService } from './bundles.service';
import { isSigned, presign, type PresignedBlob } from './presign';
import { SigningKeysService } from './signing-keys.service';

type Located = OutputOf<typeof storageOperations.bundles.locate>;

export interface Content {
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Fails midway when the stored bytes fail their check: the receiver must then be cut off. */
  readonly stream: Readable;
}

@Injectable()
export class BundleContentService {
  private readonly corruptReads: Counter;

  constructor(
    @Inject(CONFIG) private readonly config: StorageConfig,
    private readonly bundles: BundlesService,
    private readonly blobs: BlobsService,
    private readonly volumes: VolumesService,
    private readonly keys: SigningKeysService,
    private readonly clock: Clock,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    this.corruptReads = new Counter({
      name: 'alto_storage_corrupt_reads_total',
      help: 'Reads of stored blobs that were broken off because a checksum was wrong',
      registers: [metrics.registry],
    });
  }

  /** A short-lived address at an instance that has the bundle's file. */
  async locate({ project, bundle: id }: InputOf<typeof storageOperations.bundles.locate>): Promise<Located> {
    const { blob, sha256, sizeBytes } = await this.bundles.find(project, id);
    const expiresAtMs = this.clock.nowMs() + this.config.ALTO_STORAGE_LOCATE_TTL_MS;
    const url = (await this.urlOf(blob)) + presign(await this.keys.current(), blob, expiresAtMs);
    return { url, sha256, sizeBytes, expiresAt: new Date(expiresAtMs).toISOString() };
  }

  /** The content of a bundle, from another instance where this one does not have it. */
  async ofBundle(project: string, id: string): Promise<Content> {
    const bundle = await this.bundles.find(project, id);
    if (await this.blobs.isHere(bundle.blob)) return this.read(bundle.blob);
    const { url } = await this.locate({ project, bundle: id });
    const response = await fetch(url);
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new AltoError('service_unavailable', `The storage instance that has ${id} answered ${response.status}.`);
    }
    return { sizeBytes: bundle.sizeBytes, sha256: bundle.sha256, stream: Readable.fromWeb(response.body) };
  }

  /** The content of a blob of this instance. @throws AltoError `forbidden` unless the address is signed and valid still */
  async ofAddress(address: PresignedBlob): Promise<Content> {
    const key = await this.keys.find(address.key);
    if (key === undefined || !isSigned(address, key))
      throw new AltoError('forbidden', 'The address is not signed by this Alto.');
    if (address.expiresAtMs < this.clock.nowMs()) {
      throw new AltoError('forbidden', { message: 'The address has expired.', nextStep: 'Ask for a new one.' });
    }
    return this.read(address.blob);
  }

  private async read(blob: string): Promise<Content> {
    try {
      const reader = await this.blobs.open(blob);
      const stream = Readable.from(this.checked(blob, reader), { objectMode: false, highWaterMark: 1 });
      return { sizeBytes: reader.contentBytes, sha256: reader.facts.sha256, stream };
    } catch (error) {
      throw this.noted(blob, error);
    }
  }

  private async *checked(blob: string, reader: BlobReader): AsyncGenerator<Buffer> {
    try {
      yield* reader.blocks();
    } catch (error) {
      throw this.noted(blob, this.blobs.failure(error));
    }
  }

  private noted(blob: string, error: unknown): unknown {
    if (error instanceof AltoError && error.code === 'corrupt_data') {
      this.corruptReads.inc();
      this.log.error('A stored blob failed its check; send the same content again to mend it', { blob, error });
    }
    return error;
  }

  private async urlOf(blob: string): Promise<string> {
    return this.volumes.urlOf(await this.blobs.volumeOf(blob));
  }
}
