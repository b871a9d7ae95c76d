import { Injectable } from '@nestjs/common';
import { type EntityManager, QueryFailedError } from 'typeorm';
import { AltoError } from '@alto/contracts';
import { Database, queryIn } from '@alto/platform';
import { DocumentEntity } from './document.entity';

export type DocumentAddress = Pick<DocumentEntity, 'project' | 'indexName' | 'document'>;

const upsert = `
  INSERT INTO documents (project, index_name, document, fields, words, version, updated_at)
  VALUES ($1, $2, $3, $4, to_tsvector('simple', $5), $6, $7)
  ON CONFLICT (project, index_name, document) DO UPDATE
  SET fields = excluded.fields, words = excluded.words, version = excluded.version, updated_at = excluded.updated_at`;

@Injectable()
export class DocumentsStore {
  constructor(private readonly db: Database) {}

  find(address: DocumentAddress): Promise<DocumentEntity | null> {
    return this.db.manager.findOneBy(DocumentEntity, { ...address });
  }

  findIn(tx: EntityManager, address: DocumentAddress): Promise<DocumentEntity | null> {
    return tx.findOneBy(DocumentEntity, { ...address });
  }

  /** @param words text to be found by. @throws AltoError `too_large` when they are more than PostgreSQL can index */
  async put(tx: EntityManager, entity: DocumentEntity, words: string): Promise<void> {
    const { project, indexName, document, fields, version, updatedAt } = entity;
    try {
      await queryIn(tx)(upsert, [project, indexName, document, fields, words, version, updatedAt]);
    } catch (error) {
      if (!isLimitExceeded(error)) throw error;
      throw new AltoError(
        'too_large',
        { message: 'The document has too many different words.', field: 'fields' },
        { cause: error },
      );
    }
  }

  async delete(tx: EntityManager, address: DocumentAddress): Promise<void> {
    await tx.delete(DocumentEntity, { ...address });
  }
}

/** A tsvector holds 1 MB, which some documents within the limit of bytes still pass. */
function isLimitExceeded(error: unknown): boolean {
  return error instanceof QueryFailedError && (error.driverError as { code?: string }).code === '54000';
}
