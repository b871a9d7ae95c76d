import { Injectable } from '@nestjs/common';
import { Database } from '@alto/platform';

export interface FoundDocument {
  readonly document: string;
  readonly score: number;
  readonly fields: string;
}

/**
 * Any of the words makes a hit. A document with all of them is above every one without; among these ranks decide,
 * weighed by length so that long documents do not win by being long (ts_rank's normalisation 1). The query of "any"
 * is made of that of "all": its lexemes are quoted, and hold no blanks, so that ' & ' occurs between them only.
 */
const search = `
  WITH query AS (
    SELECT plainto_tsquery('simple', $3) AS all_words,
           replace(plainto_tsquery('simple', $3)::text, ' & ', ' | ')::tsquery AS any_words
  )
  SELECT document, fields, ts_rank(words, any_words, 1) + CASE WHEN words @@ all_words THEN 1 ELSE 0 END AS score
  FROM documents, query
  WHERE project = $1 AND index_name = $2 AND words @@ any_words
  ORDER BY score DESC, document
  LIMIT $4 OFFSET $5`;

@Injectable()
export class HitsStore {
  constructor(private readonly db: Database) {}

  async find(project: string, index: string, words: string, limit: number, offset: number): Promise<FoundDocument[]> {
    const { rows } = await this.db.query<FoundDocument>(search, [project, index, words, limit, offset]);
    return rows;
  }
}
