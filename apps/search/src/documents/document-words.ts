/** What of a document can be found: the text and numbers of its values, at any depth. */

/** PostgreSQL's text cannot hold it. */
const nul = /\0/g;

/** The same text in the same form whoever wrote it: ligatures, full-width letters and combined accents are unified. */
export function searchable(text: string): string {
  return text.normalize('NFKC').replace(nul, ' ');
}

/** All words of the values, in order; names of fields are not searched. */
export function wordsOf(fields: Readonly<Record<string, unknown>>): string {
  const texts: string[] = [];
  const waiting: unknown[] = [fields];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === 'string') texts.push(value);
    else if (typeof value === 'number') texts.push(String(value));
    else if (typeof value === 'object' && value !== null)
      for (const inner of Object.values(value).reverse()) waiting.push(inner);
  }
  return searchable(texts.join('\n'));
}
