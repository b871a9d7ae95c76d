/** Lists are paged without end; a terminal is not. */
const itemsMax = 10_000;

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
    if (all.length >= itemsMax) break;
  }
  return all;
}
