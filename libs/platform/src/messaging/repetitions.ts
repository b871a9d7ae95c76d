/**
 * Asks once more where no answer comes. An instance that is frozen keeps its place in the queue group until NATS has
 * noticed (`ping_interval`, `ping_max`), and what reaches it meanwhile is never answered; asked again, the group mostly
 * picks another one. Whichever answer comes first is the answer. (J. Dean and L. A. Barroso, "The Tail at Scale",
 * Communications of the ACM 56, 2013: hedged requests.)
 *
 * A service that is slow, not frozen, must not be given twice the work. Each answer that comes soon allows for one
 * repetition, up to a bound; each one that was needless, because the first request was answered after all, takes away
 * so much that no more than one in twenty is.
 */
import { callHeaders, fromProblem, type Operation } from '@alto/contracts';
import type { Msg } from '@nats-io/transport-node';
import type { CallTerms } from './call-terms';

/** For the configuration of a NATS server: within six seconds it drops who answers nothing, and nobody before four. */
export const natsPingSettings = `ping_interval: "1s"
ping_max: 4`;

/** Nearly all requests are answered within it, also on a machine that has much to do. */
const soonMs = 1_000;
const soonShare = 0.25;
/** By then NATS has dropped an instance that froze before the request. */
const surelyMs = 7_000;
const surelyShare = 0.7;

const allowedMax = 50;
const needlessCost = 20;
/** A service that was slow for a while need not have answered thousands of requests before it is trusted again. */
const debtMax = 100;

/**
 * After how much silence a request is sent again, ascending. What changes something, and has no name by which the
 * service knows it again, waits longer: done late and twice, it might undo what was asked for after it.
 */
export function repetitionsOf(
  { idempotent, http, perInstance }: Operation,
  terms: CallTerms | undefined,
  budgetMs: number,
): number[] {
  const isNamed = terms?.onceKey !== undefined;
  // What services tell each other they tell again by themselves; of one instance there is no other.
  if (http === undefined || perInstance === true || !(idempotent || isNamed)) return [];
  const surely = Math.min(budgetMs * surelyShare, surelyMs);
  return http.method === 'GET' || isNamed ? [Math.min(budgetMs * soonShare, soonMs), surely] : [surely];
}

/** How many repetitions an operation may still have. */
export class Allowance {
  private left = allowedMax;

  /** @returns whether there may be one now */
  take(): boolean {
    if (this.left < 1) return false;
    this.left--;
    return true;
  }

  /** An answer came before there was any reason to ask again, or it was the repetition's. */
  earn(): void {
    this.left = Math.min(allowedMax, this.left + 1);
  }

  /** The first request was answered after all: it had not been lost. */
  regret(): void {
    this.left = Math.max(-debtMax, this.left - needlessCost);
  }
}

/** Sends the request. @throws Error when no answer came within the time */
type Ask = (withinMs: number) => Promise<Msg>;

export class Repetitions {
  /** By operation, so that one which is slow by nature takes nothing away from the others. */
  private readonly allowances = new Map<string, Allowance>();

  /** @returns the first answer. @throws what the first request fails with, whatever becomes of the others */
  firstAnswer(operation: string, afterMs: readonly number[], budgetMs: number, ask: Ask): Promise<Msg> {
    if (afterMs.length === 0) return ask(budgetMs);
    return new Asking(this.allowanceOf(operation), afterMs, budgetMs, ask).answer();
  }

  private allowanceOf(operation: string): Allowance {
    const known = this.allowances.get(operation);
    if (known !== undefined) return known;
    const allowance = new Allowance();
    this.allowances.set(operation, allowance);
    return allowance;
  }
}

/** One request and its repetitions. */
class Asking {
  private timer: NodeJS.Timeout | undefined;
  /** Times that silence has lasted long enough, whether or not the request was sent again. */
  private silences = 0;
  private isRepeated = false;

  constructor(
    private readonly allowance: Allowance,
    private readonly afterMs: readonly number[],
    private readonly budgetMs: number,
    private readonly ask: Ask,
  ) {}

  answer(): Promise<Msg> {
    return new Promise((resolve, reject) => {
      this.wait(0, resolve);
      this.ask(this.budgetMs)
        .then((answer) => {
          if (this.isRepeated) this.allowance.regret();
          else if (this.silences === 0) this.allowance.earn();
          resolve(answer);
        }, reject)
        .finally(() => clearTimeout(this.timer));
    });
  }

  private wait(sinceMs: number, resolve: (answer: Msg) => void): void {
    const nextMs = this.afterMs[this.silences];
    if (nextMs === undefined) return;
    this.timer = setTimeout(() => {
      this.silences++;
      if (this.allowance.take()) this.repeat(this.budgetMs - nextMs, resolve);
      this.wait(nextMs, resolve);
    }, nextMs - sinceMs);
  }

  private repeat(withinMs: number, resolve: (answer: Msg) => void): void {
    this.isRepeated = true;
    this.ask(withinMs).then(
      (answer) => {
        // The first request may be answered better.
        if (isPassingFailure(answer)) return;
        clearTimeout(this.timer);
        this.allowance.earn();
        resolve(answer);
      },
      // The first request may still be answered, and says what has failed.
      () => undefined,
    );
  }
}

/** As of an instance that has too much to do. */
function isPassingFailure(answer: Msg): boolean {
  return (answer.headers?.get(callHeaders.error) ?? '') !== '' && fromProblem(answer.json()).retryable;
}
