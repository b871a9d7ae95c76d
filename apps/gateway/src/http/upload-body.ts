import { createHash, type Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AltoError } from '@alto/contracts';

export interface UploadLimits {
  readonly bytesMax: number;
  /** Longest pause of the client. */
  readonly idleMs: number;
  /** On average, beyond one longest pause: a client that sends now and then a byte would never be idle. */
  readonly bytesPerSecondMin: number;
}

/**
 * The body of an upload, limited in size, silence and slowness. Reading it begins only when somebody takes it, and the
 * time that the taker needs is not the client's.
 */
export class UploadBody {
  isTaken = false;
  /** Why the body could not be passed on, where the fault is on the client's side. */
  failure: AltoError | undefined;
  private isWhole = false;
  private size = 0;
  private waitedMs = 0;
  private readonly failed = new AbortController();
  private readonly hash: Hash | undefined;

  /**
   * @param count told of the bytes as they come
   * @param isCompared its digest will be asked for
   */
  constructor(
    private readonly source: IncomingMessage,
    private readonly limits: UploadLimits,
    private readonly count: (bytes: number) => void,
    isCompared: boolean,
  ) {
    if (Number(source.headers['content-length'] ?? 0) > limits.bytesMax) throw tooLarge(limits);
    if (isCompared) this.hash = createHash('sha256');
  }

  /** Aborts with the failure. */
  get signal(): AbortSignal {
    return this.failed.signal;
  }

  /** SHA-256 in hex; undefined as long as not all of it has come. */
  get digest(): string | undefined {
    return this.isWhole ? this.hash?.copy().digest('hex') : undefined;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    this.isTaken = true;
    const chunks = this.source.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
    try {
      for (let next = await this.next(chunks); next.done !== true; next = await this.next(chunks)) {
        this.take(next.value);
        yield next.value;
      }
      this.isWhole = true;
    } finally {
      // Not waited for: it would wait for the chunk that does not come.
      void chunks.return?.().catch(() => undefined);
    }
  }

  /** Reads all of it, and keeps nothing. @throws AltoError when it does not come whole */
  async drain(): Promise<void> {
    for await (const chunk of this.chunks()) void chunk;
  }

  private async next(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const { idleMs, bytesPerSecondMin } = this.limits;
    const askedAt = performance.now();
    const lateMs = idleMs + (this.size / bytesPerSecondMin) * 1_000 - this.waitedMs;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(this.fail(lateMs < idleMs ? tooSlow(this.limits) : silent(this.limits))),
      Math.max(0, Math.min(idleMs, lateMs)),
    );
    try {
      return await Promise.race([chunks.next(), late.promise]);
    } catch (error) {
      throw this.fail(error instanceof AltoError ? error : brokenOff(error));
    } finally {
      clearTimeout(timer);
      this.waitedMs += performance.now() - askedAt;
    }
  }

  private take(chunk: Buffer): void {
    this.size += chunk.length;
    this.count(chunk.length);
    this.hash?.update(chunk);
    if (this.size > this.limits.bytesMax) throw this.fail(tooLarge(this.limits));
  }

  /** The client's connection is left as it is, so that the answer can say what was wrong. */
  private fail(error: AltoError): AltoError {
    this.failure ??= error;
    this.failed.abort(this.failure);
    return this.failure;
  }
}

function tooLarge({ bytesMax }: UploadLimits): AltoError {
  return new AltoError('too_large', `The body is larger than ${bytesMax} bytes.`);
}

function silent({ idleMs }: UploadLimits): AltoError {
  return new AltoError('request_timeout', `No byte of the body came for ${idleMs} ms.`);
}

function tooSlow({ bytesPerSecondMin }: UploadLimits): AltoError {
  return new AltoError('request_timeout', `The body came with less than ${bytesPerSecondMin} bytes a second.`);
}

function brokenOff(cause: unknown): AltoError {
  return new AltoError('invalid_request', 'The connection ended before the body did.', { cause });
}
