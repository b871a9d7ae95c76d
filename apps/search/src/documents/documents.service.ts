import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AltoError, type InputOf, type SearchDocument, searchEvents, searchOperations } from '@alto/contracts';
import { checkPrecondition, Clock, CONFIG, Database, Outbox } from '@alto/platform';
import type { SearchConfig } from '../config';
import { IndexesService } from '../indexes/indexes.service';
import type { DocumentEntity } from './document.entity';
import { wordsOf } from './document-words';
import { type DocumentAddress, DocumentsStore } from './documents.store';

type Addressed = InputOf<typeof searchOperations.documents.get>;
type Put = InputOf<typeof searchOperations.documents.put>;

@Injectable()
export class DocumentsService {
  constructor(
    @Inject(CONFIG) private readonly config: SearchConfig,
    private readonly indexes: IndexesService,
    private readonly store: DocumentsStore,
    private readonly db: Database,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
  ) {}

  /** Indexes a document in place of the one before. The same fields again change nothing. */
  async put({ fields, ...input }: Put): Promise<SearchDocument> {
    const json = this.encode(fields);
    const address = addressOf(input);
    const words = wordsOf(fields);
    return this.db.transaction(async (tx) => {
      const index = await this.indexes.lockOrAdd(tx, address.project, address.indexName);
      const present = await this.store.findIn(tx, address);
      checkPrecondition(present);
      if (present?.fields === json) return view(present);
      const version = await this.indexes.nextVersion(tx, index);
      const document: DocumentEntity = { ...address, fields: json, version, updatedAt: this.clock.now() };
      await this.store.put(tx, document, words);
      const { fields: _, ...data } = view(document);
      const facts = { project: address.project, resource: resourceOf(address), resourceVersion: version, data };
      await this.outbox.append(tx, searchEvents.documentIndexed, facts);
      return view(document);
    });
  }

  async get(input: Addressed): Promise<SearchDocument> {
    const found = await this.store.find(addressOf(input));
    if (found !== null) return view(found);
    throw new AltoError('not_found', {
      message: `There is no document ${input.document} in ${input.index}.`,
      field: 'document',
    });
  }

  /** Deleting what is not there is no error, so that a lost answer can be asked for again. */
  async delete(input: Addressed): Promise<void> {
    const address = addressOf(input);
    await this.db.transaction((tx) => this.deleteIn(tx, address));
  }

  private async deleteIn(tx: EntityManager, address: DocumentAddress): Promise<void> {
    const { project, indexName, document } = address;
    const index = await this.indexes.lock(tx, project, indexName);
    const present = index === undefined ? null : await this.store.findIn(tx, address);
    checkPrecondition(present);
    if (index === undefined || present === null) return;
    await this.store.delete(tx, address);
    const resourceVersion = await this.indexes.nextVersion(tx, index);
    const data = { index: indexName, document };
    await this.outbox.append(tx, searchEvents.documentDeleted, {
      project,
      resource: resourceOf(address),
      resourceVersion,
      data,
    });
  }

  private encode(fields: Put['fields']): string {
    const json = JSON.stringify(fields);
    const bytesMax = this.config.ALTO_SEARCH_DOCUMENT_BYTES_MAX;
    if (Buffer.byteLength(json) <= bytesMax) return json;
    throw new AltoError('too_large', {
      message: `The fields of a document may have ${bytesMax} bytes of JSON at most.`,
      field: 'fields',
      nextStep: 'Split the document, for example by its sections.',
    });
  }
}

function addressOf({ project, index, document }: Addressed): DocumentAddress {
  return { project, indexName: index, document };
}

/** Unique within the project, which the event names as well. */
function resourceOf({ project, indexName, document }: DocumentAddress): string {
  return `${project}/${indexName}/${document}`;
}

function view({ indexName, document, fields, version, updatedAt }: DocumentEntity): SearchDocument {
  return {
    index: indexName,
    document,
    fields: JSON.parse(fields) as SearchDocument['fields'],
    version,
    updatedAt: updatedAt.toISOString(),
  };
}
