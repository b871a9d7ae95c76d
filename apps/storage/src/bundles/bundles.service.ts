import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AltoError, type Bundle, newId, storageEvents } from '@alto/contracts';
import { type CallContext, Clock, CONFIG, Database, hasTerms, Log, Outbox, termsKeeper } from '@alto/platform';
import type { BlobDraft } from '../blobs/blob-draft';
import type { WrittenContent } from '../blobs/blob-files';
import { BlobsService } from '../blobs/blobs.service';
import type { StorageConfig } from '../config';
import { StorageQuota } from '../quotas/storage-quota';
import { ArchiveInspection } from './archive-inspection';
import type { BundleEntity } from './bundle.entity';
import { BundlesStore } from './bundles.store';

export interface UploadBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** 0 when the client did not say. */
  readonly expectedBytes: number;
}

/** Who uploads, and on which terms: once, or as a trial. */
export type UploadCall = Pick<CallContext, 'operation' | 'caller' | 'terms'>;

@Injectable()
export class BundlesService {
  constructor(
    @Inject(CONFIG) private readonly config: StorageConfig,
    private readonly blobs: BlobsService,
    private readonly store: BundlesStore,
    private readonly quota: StorageQuota,
    private readonly db: Database,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Stores a tar.gz. When it answers, no crash can lose it. The same content in the same project is the same bundle.
   * A trial receives and inspects it all the same, and keeps nothing.
   * @param sha256 what the content must hash to, where the client knows
   * @throws AltoError `idempotency_key_reused` for other content than was uploaded under the name of this call
   */
  async upload(project: string, sha256: string | undefined, body: UploadBody, call: UploadCall): Promise<Bundle> {
    if (body.expectedBytes > this.config.ALTO_STORAGE_BUNDLE_BYTES_MAX) throw this.tooLarge();
    const isKnown = sha256 !== undefined && (await this.store.findByContent(project, sha256)) !== null;
    // Of content that nobody has named before it comes, only its end tells whether it adds anything.
    if (sha256 !== undefined && !isKnown) await this.quota.foresee(call.caller, project, body.expectedBytes);
    const draft = await this.blobs.begin(project, body.expectedBytes);
    let content: WrittenContent | undefined;
    try {
      content = await this.receive(draft, body);
      checkContent(content, sha256);
      return await this.keep(draft, project, content, call);
    } catch (error) {
      const isLive = await draft.giveUp();
      const kept = isLive && content !== undefined ? await this.store.findByContent(project, content.sha256) : null;
      if (kept !== null) return view(kept);
      throw this.blobs.failure(error);
    }
  }

  async get(project: string, id: string): Promise<Bundle> {
    return view(await this.find(project, id));
  }

  async list(project: string, limit: number, cursor?: string): Promise<{ items: Bundle[]; nextCursor?: string }> {
    const found = await this.store.list(project, limit + 1, cursor);
    const items = found.slice(0, limit).map(view);
    return found.length > limit ? { items, nextCursor: items.at(-1)?.id } : { items };
  }

  /** @throws AltoError `not_found` also for a bundle of another project */
  async find(project: string, id: string): Promise<BundleEntity> {
    const bundle = await this.store.find(project, id);
    if (bundle !== null) return bundle;
    throw new AltoError('not_found', { message: `There is no bundle ${id}.`, field: 'bundle' });
  }

  private async receive(draft: BlobDraft, { chunks }: UploadBody): Promise<WrittenContent> {
    const inspection = new ArchiveInspection({
      entriesMax: this.config.ALTO_STORAGE_BUNDLE_ENTRIES_MAX,
      unpackedBytesMax: this.config.ALTO_STORAGE_BUNDLE_UNPACKED_BYTES_MAX,
    });
    try {
      for await (const chunk of chunks) {
        if (draft.contentBytes + chunk.byteLength > this.config.ALTO_STORAGE_BUNDLE_BYTES_MAX) throw this.tooLarge();
        await inspection.write(chunk);
        await draft.write(chunk);
      }
      await inspection.finish();
      return await draft.finish();
    } finally {
      inspection.destroy();
    }
  }

  /** Makes the draft a bundle, or gives it up for the one there is. */
  private async keep(draft: BlobDraft, project: string, content: WrittenContent, call: UploadCall): Promise<Bundle> {
    const present = await this.store.findByContent(project, content.sha256);
    const isWhole = present !== null && (await this.blobs.isWhole(present.blob));
    const isTrial = call.terms.dryRun === true;
    if (!isWhole && !isTrial) await draft.publish();
    let blob: string | undefined;
    const bundle = await this.onTerms(call, async () => {
      const kept = isWhole
        ? present
        : await this.db.transaction((tx) =>
            present === null ? this.create(tx, draft, project, content, call) : this.mend(tx, draft, present),
          );
      ({ blob } = kept);
      return view(kept);
    });
    requireSame(bundle, project, content);
    if (blob === draft.id && !isTrial) draft.end();
    else await draft.giveUp();
    return bundle;
  }

  /** @returns what was answered before to the call of this name; the body is not run then */
  private async onTerms(call: UploadCall, body: () => Promise<Bundle>): Promise<Bundle> {
    if (!hasTerms(call.terms)) return body();
    const keep = termsKeeper(this.db, this.clock);
    return JSON.parse(await keep(call, async () => JSON.stringify(await body()))) as Bundle;
  }

  private async create(
    tx: EntityManager,
    draft: BlobDraft,
    project: string,
    content: WrittenContent,
    { caller }: UploadCall,
  ): Promise<BundleEntity> {
    const createdAt = this.clock.now();
    const { sha256, contentBytes: sizeBytes } = content;
    const id = newId('bundle', createdAt.getTime());
    const bundle: BundleEntity = { id, project, sha256, blob: draft.id, sizeBytes, version: 1, createdAt };
    if (!(await this.store.insert(tx, bundle))) return this.store.lockByContent(tx, project, sha256);
    await this.quota.require(tx, caller, project, sizeBytes);
    await draft.commit(tx);
    const data = view(bundle);
    await this.outbox.append(tx, storageEvents.bundleCreated, { project, resource: id, resourceVersion: 1, data });
    return bundle;
  }

  /** The bundle's file failed its check and here is the same content again: the bundle gets the new file. */
  private async mend(tx: EntityManager, draft: BlobDraft, broken: BundleEntity): Promise<BundleEntity> {
    const bundle = await this.store.lockByContent(tx, broken.project, broken.sha256);
    if (bundle.blob !== broken.blob) return bundle;
    await draft.commit(tx);
    await this.store.pointTo(tx, bundle.id, draft.id);
    await this.blobs.replace(tx, broken.blob);
    this.log.warn('A bundle whose file was damaged got a new one', { bundle: bundle.id, damaged: broken.blob });
    return { ...bundle, blob: draft.id };
  }

  private tooLarge(): AltoError {
    return new AltoError('too_large', {
      message: `A bundle may have ${this.config.ALTO_STORAGE_BUNDLE_BYTES_MAX} bytes at most.`,
      field: 'body',
      nextStep:
        'Leave out what the app does not need to run, or have the operator raise ALTO_STORAGE_BUNDLE_BYTES_MAX.',
    });
  }
}

function checkContent(content: WrittenContent, expectedSha256: string | undefined): void {
  if (expectedSha256 === undefined || expectedSha256 === content.sha256) return;
  throw new AltoError('checksum_mismatch', {
    message: `The content that arrived hashes to ${content.sha256}, not to ${expectedSha256}.`,
    field: 'sha256',
    nextStep: 'Send it again.',
  });
}

/** Of two uploads under one name the second one must be the first again. */
function requireSame(bundle: Bundle, project: string, content: WrittenContent): void {
  if (bundle.project === project && bundle.sha256 === content.sha256) return;
  throw new AltoError('idempotency_key_reused', {
    message: 'Idempotency-Key: other content was uploaded with this key',
    field: 'Idempotency-Key',
    nextStep: 'Give each upload a key of its own, such as a UUID, and use it again for repetitions alone.',
  });
}

function view({ id, project, sha256, sizeBytes, version, createdAt }: BundleEntity): Bundle {
  return { id, project, sha256, sizeBytes, version, createdAt: createdAt.toISOString() };
}
