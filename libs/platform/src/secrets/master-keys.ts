/**
 * The keys that seal secrets: 32 bytes each, in base64, one a line or separated by commas. The last one seals, all of
 * them open: a new key is appended, what was sealed before stays readable, and once everything is sealed anew the old
 * key is removed. A key's id is a hash of it, so nothing has to be named or counted.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

export const masterKeyBytes = 32;
/** Older keys are there to be removed after a rotation, not to be collected. */
const keysMax = 16;
const othersMayReach = 0o077;

/** The master keys cannot be had; the message says why and what to do, and holds nothing of a key. */
export class MasterKeysError extends Error {
  override readonly name = 'MasterKeysError';
}

/** Never logged, serialised or compared: what it holds is reached by sealing and opening alone. */
export class MasterKeys {
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  /** Id of the key that seals. */
  readonly newest: string;

  private constructor(keys: ReadonlyMap<string, Uint8Array>) {
    this.#keys = keys;
    this.newest = [...keys.keys()].at(-1) ?? '';
  }

  /** Ids of all of them, oldest first. */
  get ids(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The same keys, of which that one seals. @throws MasterKeysError when it is not among them */
  sealingWith(id: string): MasterKeys {
    if (!this.#keys.has(id)) throw new MasterKeysError(`There is no master key ${id}.`);
    const others = [...this.#keys].filter(([other]) => other !== id);
    return new MasterKeys(new Map([...others, [id, this.#keys.get(id)!]]));
  }

  /** @throws MasterKeysError for a file that is missing, open to others, or holds no keys */
  static fromFile(path: string): MasterKeys {
    return MasterKeys.parse(readPrivately(path), path);
  }

  /** @param source where the text is from, for the message. @throws MasterKeysError */
  static parse(text: string, source: string): MasterKeys {
    const words = text.split(/[\s,]+/).filter((word) => word !== '');
    if (words.length === 0) throw new MasterKeysError(`${source} holds no master key. ${howToMakeOne}`);
    if (words.length > keysMax) {
      throw new MasterKeysError(
        `${source} holds ${words.length} master keys; ${keysMax} are the most. Remove the oldest.`,
      );
    }
    const keys = new Map<string, Uint8Array>();
    for (const [place, word] of words.entries()) {
      const key = Buffer.from(word, 'base64');
      if (key.length !== masterKeyBytes || key.toString('base64') !== word) {
        throw new MasterKeysError(`Master key ${place + 1} of ${source} is not 32 bytes in base64. ${howToMakeOne}`);
      }
      const id = idOfKey(key);
      keys.delete(id);
      keys.set(id, key);
    }
    return new MasterKeys(keys);
  }

  /** For sealing and opening, which alone may ask. */
  find(id: string): Uint8Array | undefined {
    return this.#keys.get(id);
  }

  toJSON(): string {
    return '[master keys]';
  }
}

const howToMakeOne = 'Make one with: openssl rand -base64 32';

/** 16 hexadecimal digits that tell keys apart and nothing about them. */
function idOfKey(key: Uint8Array): string {
  return createHash('sha256').update('alto master key id\0').update(key).digest('hex').slice(0, 16);
}

function readPrivately(path: string): string {
  try {
    const { mode } = statSync(path);
    if ((mode & othersMayReach) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new MasterKeysError(`${path} can be reached by other users (mode ${octal}). Run: chmod 600 ${path}`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof MasterKeysError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new MasterKeysError(`The master key file ${path} cannot be read (${code ?? 'unknown error'}).`);
  }
}
