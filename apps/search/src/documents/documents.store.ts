import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
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

  /** @param words text to be found by */
  async put(tx: EntityManager, entity: DocumentEntity, words: string): Promise<void> {
    const { project, indexName, document, fields, version, updatedAt } = entity;
    await queryIn(tx)(upsert, [project, indexName, document, fields, words, version, updatedAt]);
  }

  async delete(tx: EntityManager, address: DocumentAddress): Promise<boolean> {
    const { affected } = await tx.delete(DocumentEntity, { ...address });
    return affected === 1;
  }
}
