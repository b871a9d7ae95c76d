/** Who is out, beside the proxy's files: for the process that takes over, and for those that only answer about routes. */
import { join } from 'node:path';
import { z } from 'zod';
import { readIfThere, replaceFile } from '../durable-file';
import type { RememberedEjection } from './outliers.state';

const fileSchema = z.object({
  version: z.literal(1),
  ejections: z.array(
    z.object({
      endpoint: z.string(),
      pool: z.string(),
      times: z.number().int(),
      sinceMs: z.number(),
      untilMs: z.number(),
      reason: z.string(),
    }),
  ),
});

export class EjectionsFile {
  private readonly path: string;

  constructor(folder: string) {
    this.path = join(folder, 'ejections.json');
  }

  /** Nobody is out where nothing can be read: it decides about no more than the next seconds. */
  async read(): Promise<readonly RememberedEjection[]> {
    const text = await readIfThere(this.path).catch(() => undefined);
    const file = fileSchema.safeParse(parse(text));
    return file.success ? file.data.ejections : [];
  }

  async write(ejections: readonly RememberedEjection[]): Promise<void> {
    await replaceFile(this.path, `${JSON.stringify({ version: 1, ejections })}\n`);
  }
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return undefined;
  }
}
