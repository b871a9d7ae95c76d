/** What is known, kept beside the proxy's files, so that a load balancer that starts with all else down goes on. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@alto/contracts';
import { readIfThere, replaceFile } from '../durable-file';
import { type Known, knownSchema, nothingKnown } from './known';

export interface Recollection {
  readonly known: Known;
  /** The file was there and could not be read: it is set aside, and what the proxy has on disk is better than nothing. */
  readonly lost: boolean;
}

export class KnownFile {
  private readonly path: string;

  constructor(folder: string) {
    this.path = join(folder, 'known.json');
  }

  /** Reads without changing anything: for an instance that does not command the proxy. */
  async peek(): Promise<Known | undefined> {
    const text = await readIfThere(this.path);
    return text === undefined ? undefined : parse(text);
  }

  async read(): Promise<Recollection> {
    const text = await readIfThere(this.path);
    if (text === undefined) return { known: nothingKnown(newId('proxy')), lost: false };
    const known = parse(text);
    if (known !== undefined) return { known, lost: false };
    await rename(this.path, `${this.path}.unreadable`);
    return { known: nothingKnown(newId('proxy')), lost: true };
  }

  async write(known: Known): Promise<void> {
    await replaceFile(this.path, `${JSON.stringify(known)}\n`);
  }
}

function parse(text: string): Known | undefined {
  try {
    return knownSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
