import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AltoError, type ErrorCode } from '@alto/contracts';
import { Clock, CONFIG, Log, seal, unseal } from '@alto/platform';
import type { GatewayConfig } from '../config';
import type { Answer } from '../http/problem';
import { IdempotentRequestsStore } from './idempotent-requests.store';
import { type NamedRequest, onceKeyOf, requestHashOf } from './request-name';

export const keptMs = 24 * 3_600_000;
/**
 * How long nobody else works on a request that is under way. Short, since its gateway may have been killed: who takes
 * over too early is made to wait by the service, which does the request once all the same.
 */
const busyMs = 2_000;
const renewEveryMs = 500;
const pollFirstMs = 20;
const pollMaxMs = 200;

/** Whoever sends the request again may get another answer than these, so they are not kept. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'internal',
  'unauthenticated',
  'forbidden',
  'quota_exceeded',
  'checksum_mismatch',
  'idempotency_key_reused',
]);

export interface OnceRequest extends NamedRequest {
  readonly operation: string;
  readonly input: unknown;
  readonly condition?: unknown;
}

/** What a request brings beside its input, too large to be looked at before it is passed on. */
export interface Content {
  /** What tells it apart from any other; undefined as long as not all of it has come. */
  readonly digest: string | undefined;
  /** Reads all of it, and keeps nothing. */
  drain(): Promise<void>;
}

interface KeptAnswer extends Answer {
  readonly contentDigest?: string;
}

interface Attempt {
  readonly onceKey: string;
  readonly name: string;
  readonly requestHash: string;
  readonly attempt: string;
}

/**
 * Requests that are done once. The first answer is kept and repeated. A gateway that is killed between the service's
 * answer and the keeping of it harms nothing: it had noted the request before, under a name that the service knows it
 * by as well, so whoever sends it again is handed the service's own first answer.
 */
@Injectable()
export class IdempotencyService {
  private readonly secret: string;

  constructor(
    @Inject(CONFIG) private readonly config: GatewayConfig,
    private readonly store: IdempotentRequestsStore,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.secret = readFileSync(config.ALTO_CALLER_SIGNING_KEY_FILE, 'utf8');
  }

  /**
   * @param work asks the service, under the name that it knows the request by
   * @param refused what is sent for an error
   * @param content belongs to the request, and is compared once it has come: it is read by `work`, or here
   * @throws AltoError idempotency_key_reused, request_in_progress, or what `work` throws
   */
  async answer(
    request: OnceRequest,
    work: (onceKey: string) => Promise<Answer>,
    refused: (error: AltoError) => Answer,
    content?: Content,
  ): Promise<{ answer: Answer; isRepeated: boolean }> {
    const onceKey = onceKeyOf(this.secret, request);
    const attempt: Attempt = {
      onceKey,
      name: createHash('sha256').update(onceKey).digest('hex'),
      requestHash: requestHashOf(request.operation, request.input, request.condition),
      attempt: randomUUID(),
    };
    const earlier = await this.earlierAnswer(attempt);
    if (earlier !== undefined) return { answer: await sameContent(earlier, content), isRepeated: true };
    try {
      const answer = await this.holding(attempt, () => work(onceKey));
      await this.keep(attempt, answer, content);
      return { answer, isRepeated: false };
    } catch (error) {
      const isFinal = error instanceof AltoError && !error.retryable && !passing.has(error.code);
      await this.keep(attempt, isFinal ? refused(error) : undefined, content);
      throw error;
    }
  }

  /** @returns the answer kept; undefined when this attempt is the one to work on the request */
  private async earlierAnswer({ onceKey, name, requestHash, attempt }: Attempt): Promise<KeptAnswer | undefined> {
    const giveUpAt = performance.now() + this.config.ALTO_IDEMPOTENCY_WAIT_MS;
    for (let pollMs = pollFirstMs; ; pollMs = Math.min(pollMs * 2, pollMaxMs)) {
      const at = this.clock.now();
      if (await this.store.claim({ name, requestHash, attempt, at, busyUntil: this.busyUntil() })) return undefined;
      const present = await this.store.find(name);
      if (present !== undefined && present.requestHash !== requestHash) throw reused();
      if (present?.answer) return JSON.parse(unseal(onceKey, present.answer)) as KeptAnswer;
      if (performance.now() >= giveUpAt) throw inProgress();
      await delay(pollMs);
    }
  }

  /** As long as the work goes on, repetitions wait for it here instead of beginning it, too. */
  private async holding<T>({ name, attempt }: Attempt, work: () => Promise<T>): Promise<T> {
    // A renewal that fails is followed by the next.
    const renew = () => void this.store.renew(name, attempt, this.busyUntil()).catch(() => undefined);
    const renewal = setInterval(renew, renewEveryMs);
    try {
      return await work();
    } finally {
      clearInterval(renewal);
    }
  }

  private busyUntil(): Date {
    return new Date(this.clock.nowMs() + busyMs);
  }

  /** Nothing is kept of an answer without finality, or to content that nothing could be compared with. */
  private keep({ onceKey, name, attempt }: Attempt, answer: Answer | undefined, content?: Content): Promise<void> {
    const contentDigest = content?.digest;
    const isComplete = content === undefined || contentDigest !== undefined;
    return this.note(() =>
      answer !== undefined && isComplete
        ? this.store.keep(name, attempt, seal(onceKey, JSON.stringify({ ...answer, contentDigest })))
        : this.store.release(name, attempt),
    );
  }

  /** What cannot be noted costs the next one a question to the service; the caller of this one has its answer. */
  private async note(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.log.warn('The answer to a request that is done once could not be kept', { error });
    }
  }
}

/** @throws AltoError idempotency_key_reused */
async function sameContent({ contentDigest, ...answer }: KeptAnswer, content: Content | undefined): Promise<Answer> {
  await content?.drain();
  if (content?.digest !== contentDigest) throw reused();
  return answer;
}

function reused(): AltoError {
  return new AltoError('idempotency_key_reused', {
    message: 'Idempotency-Key: another request was sent with this key, to another address or with another content',
    field: 'Idempotency-Key',
    nextStep: 'Give each request a key of its own, such as a UUID, and use it again for repetitions alone.',
  });
}

function inProgress(): AltoError {
  return new AltoError('request_in_progress', {
    message: 'The first request with this Idempotency-Key is still being worked on.',
    field: 'Idempotency-Key',
    nextStep: 'Send it again in a moment, with the same key: it is then answered as the first one was.',
  });
}
