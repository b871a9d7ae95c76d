import { connect } from '@nats-io/transport-node';
import { type CloudEvent, searchOperations } from '@alto/contracts';
import {
  callerOf,
  createDatabase,
  eventually,
  type NatsServer,
  newTestProject,
  startNats,
  startTestService,
  type TestDatabase,
  type TestService,
} from '@alto/testing';
import { searchService } from '../search.module';

const { put, get, delete: remove } = searchOperations.documents;
const { list } = searchOperations.hits;

let nats: NatsServer;
let database: TestDatabase;
let search: TestService;

beforeAll(async () => {
  nats = await startNats();
  database = await createDatabase({ name: 'search', ...searchService.database! });
  search = await startTestService(searchService, { natsUrl: nats.url, databaseUrl: database.url });
  await eventually(async () => (await fetch(`${search.url}/readyz`)).ok, { withinMs: 30_000 });
});

afterAll(async () => {
  await search?.stop();
  await database?.drop();
  await nats?.stop();
});

type Fields = Record<string, string>;

function someone() {
  const project = newTestProject();
  const caller = callerOf(project);
  const at = (document: string, index = 'library') => ({ project: project.id, index, document });
  return {
    project: project.id,
    put: (document: string, fields: object, index?: string) =>
      search.call(put, { ...at(document, index), fields: fields as Fields }, caller),
    get: (document: string, index?: string) => search.call(get, at(document, index), caller),
    delete: (document: string, index?: string) => search.call(remove, at(document, index), caller),
    find: (q: string, limit?: number, cursor?: string, index = 'library') =>
      search.call(list, { project: project.id, index, q, limit, cursor }, caller),
  };
}

async function found(hits: Promise<{ items: { document: string }[] }>): Promise<string[]> {
  return (await hits).items.map(({ document }) => document);
}

describe('search', () => {
  it('finds documents by words of any value, in any case and form', async () => {
    const { put, find } = someone();
    await put('moby', { title: 'Moby-Dick', author: { name: 'Herman Melville' }, year: 1851, tags: ['whale', 'Café'] });
    await put('emma', { title: 'Emma', author: { name: 'Jane Austen' }, year: 1815 });
    for (const words of ['melville', 'WHALE', '1851', 'ｃａｆe\u0301', 'moby-dick'])
      expect(await found(find(words))).toEqual(['moby']);
    expect(await found(find('title'))).toEqual([]);
    expect(await found(find('!?'))).toEqual([]);
  });

  it('puts documents with all words before those with some', async () => {
    const { put, find } = someone();
    await put('some', { text: 'red red red red red' });
    await put('all', { text: `one red thing ${'among others '.repeat(50)} and a blue one` });
    await put('none', { text: 'green' });
    const { items } = await find('red blue');
    expect(items.map(({ document }) => document)).toEqual(['all', 'some']);
    expect(items[0]!.score).toBeGreaterThan(items[1]!.score);
  });

  it.each([
    "it's",
    `"quoted & phrase" | :* <-> !`,
    "\\'; DROP TABLE documents; --",
    'a & b | c',
    'http://x.org/?a=1&b=2',
    '\u0000',
  ])('takes %j for words, not for a query language', async (words) => {
    const { put, find } = someone();
    await put('quoted', { text: words });
    await put('other', { text: 'unrelated' });
    expect(['quoted', undefined]).toContain((await find(words)).items[0]?.document);
  });

  it('replaces, keeps what is the same, and deletes', async () => {
    const { put, get, delete: remove, find } = someone();
    const first = await put('a', { text: 'before' });
    expect(await put('a', { text: 'before' })).toEqual(first);
    const second = await put('a', { text: 'after' });
    expect(second.version).toBeGreaterThan(first.version);
    expect(await found(find('before'))).toEqual([]);
    expect(await found(find('after'))).toEqual(['a']);
    expect(await get('a')).toEqual(second);
    await remove('a');
    await remove('a');
    await expect(get('a')).rejects.toMatchObject({ code: 'not_found' });
    expect(await found(find('after'))).toEqual([]);
    expect((await put('a', { text: 'again' })).version).toBeGreaterThan(second.version);
  });

  it('gives each hit once, page by page', async () => {
    const { put, find } = someone();
    for (let number = 0; number < 7; number++) await put(`d${number}`, { text: 'word '.repeat(number + 1) });
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await find('word', 3, cursor);
      pages.push(page.items.map(({ document }) => document));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(new Set(pages.flat()).size).toBe(7);
    await expect(find('word', 3, '10001')).rejects.toMatchObject({ code: 'invalid_request', field: 'cursor' });
  });

  it('refuses what is too large and does not know what is not there', async () => {
    const { put, find } = someone();
    await expect(put('big', { text: 'x'.repeat(256 * 1024) })).rejects.toMatchObject({
      code: 'too_large',
      field: 'fields',
    });
    await expect(find('x')).rejects.toMatchObject({ code: 'not_found', field: 'index' });
    const paths = (length: number) =>
      Array.from({ length }, (_, number) => `${(number + 50_000).toString(36)}.de/${number.toString(36)}`).join(' ');
    expect((await put('full', { text: paths(10_000) })).document).toBe('full');
    await expect(put('overfull', { text: paths(23_000) })).rejects.toMatchObject({
      code: 'too_large',
      field: 'fields',
    });
  });

  it('keeps versions apart when one document is put many times at once', async () => {
    const { put, get } = someone();
    const versions = await Promise.all(Array.from({ length: 20 }, (_, number) => put('hot', { number })));
    expect(new Set(versions.map(({ version }) => version)).size).toBe(20);
    expect((await get('hot')).version).toBe(Math.max(...versions.map(({ version }) => version)));
  });

  it('never shows a document of another project or index', async () => {
    const [mine, theirs] = [someone(), someone()];
    await mine.put('a', { text: 'secret' });
    await mine.put('b', { text: 'secret' }, 'other');
    await theirs.put('c', { text: 'public' });
    expect(await found(theirs.find('secret'))).toEqual([]);
    expect(await found(mine.find('secret'))).toEqual(['a']);
    await expect(theirs.get('a')).rejects.toMatchObject({ code: 'not_found' });
    await theirs.delete('a');
    expect(await mine.get('a')).toMatchObject({ document: 'a' });
  });

  it('tells of changes in their order', async () => {
    const { project, put, delete: remove } = someone();
    const connection = await connect({ servers: nats.url });
    const events: CloudEvent[] = [];
    connection.subscribe(`alto.events.${project}.>`, { callback: (_, message) => void events.push(message.json()) });
    await connection.flush();
    await put('a', { text: 'one' });
    await remove('a');
    await put('a', { text: 'two' });
    await eventually(() => events.length === 3);
    expect(events.map(({ type }) => type)).toEqual([
      'search.documents.indexed',
      'search.documents.deleted',
      'search.documents.indexed',
    ]);
    expect(events.map(({ resourceversion }) => resourceversion)).toEqual([1, 2, 3]);
    await connection.close();
  });
});
