/** What of a resource is kept in the audit log: pure. Secrets are blotted out, and what is too large is left out. */

const textBytesMax = 16_384;
/** Beyond it nothing is even parsed. */
const parsedBytesMax = 262_144;
const depthMax = 20;
const blot = '***';

/** Names of fields whose content nobody but the owner should read. */
const secretName = /secret|passw|token|credential|authori[sz]ation|private|signature|^(api)?_?key$|_key$|ApiKey$/i;
/** Secrets by their form, wherever they stand: API keys, credentials in URLs, bearer tokens. */
const secretForms: readonly [RegExp, string][] = [
  [/alto_[0-9a-z]{26}_[0-9a-f]{64}/g, blot],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/:@]+:[^\s/@]+@/gi, `$1${blot}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${blot}`],
];

/** @param text JSON as a service answered it; @returns JSON that PostgreSQL takes, or null for nothing to keep */
export function maskedJson(text: string | undefined): unknown {
  if (text === undefined || text === '') return null;
  const size = Buffer.byteLength(text);
  if (size > parsedBytesMax) return omitted(size);
  try {
    const masked: unknown = mask(JSON.parse(text), '', 0);
    return Buffer.byteLength(JSON.stringify(masked)) > textBytesMax ? omitted(size) : masked;
  } catch {
    return null;
  }
}

function omitted(bytes: number): unknown {
  return { omitted: `${bytes} bytes are too many to be kept here` };
}

function mask(value: unknown, name: string, depth: number): unknown {
  if (depth > depthMax) return blot;
  if (typeof value === 'object' && value !== null) {
    if (Array.isArray(value)) return value.map((item) => mask(item, name, depth + 1));
    const entries = Object.entries(value).map(([key, inner]) => [storable(key), mask(inner, key, depth + 1)] as const);
    return Object.fromEntries(entries);
  }
  if (value === null || typeof value === 'boolean') return value;
  if (secretName.test(name)) return blot;
  return typeof value === 'string' ? maskText(value) : value;
}

/** Also for what callers write themselves, such as the names in a path. */
export function maskText(text: string): string {
  return secretForms.reduce((masked, [form, instead]) => masked.replace(form, instead), storable(text));
}

/** PostgreSQL takes neither U+0000 nor half a surrogate pair. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}
