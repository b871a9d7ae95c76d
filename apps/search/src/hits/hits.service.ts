import { Injectable } from '@nestjs/common';
import { AltoError, type InputOf, type OutputOf, searchOperations } from '@alto/contracts';
import { searchable } from '../documents/document-words';
import { IndexesService } from '../indexes/indexes.service';
import { type FoundDocument, HitsStore } from './hits.store';

type Query = InputOf<typeof searchOperations.hits.list>;
type Hits = OutputOf<typeof searchOperations.hits.list>;

/** Nobody reads further; every page costs the ranking of all pages before it. */
const offsetMax = 10_000;

@Injectable()
export class HitsService {
  constructor(
    private readonly indexes: IndexesService,
    private readonly store: HitsStore,
  ) {}

  /** Documents with any of the words, those with all of them first. */
  async list({ project, index, q, limit, cursor }: Query): Promise<Hits> {
    const offset = offsetOf(cursor);
    await this.indexes.check(project, index);
    const found = await this.store.find(project, index, searchable(q), limit + 1, offset);
    const items = found.slice(0, limit).map(view);
    const next = offset + limit;
    return found.length > limit && next <= offsetMax ? { items, nextCursor: String(next) } : { items };
  }
}

function offsetOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  const offset = /^\d{1,6}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (offset <= offsetMax) return offset;
  throw new AltoError('invalid_request', {
    message: 'cursor: must be the nextCursor of a page before',
    field: 'cursor',
  });
}

function view({ document, score, fields }: FoundDocument): Hits['items'][number] {
  return { document, score, fields: JSON.parse(fields) as Record<string, unknown> };
}
