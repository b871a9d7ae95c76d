/** While Alto does not answer for a moment, what it was told to do goes on: who follows that says so once and asks again. */
import { isPassing } from './failure';

export class Outage {
  /** Why the last question had no answer. */
  reason: string | undefined;

  /** @param say hears once of each outage */
  constructor(private readonly say: (message: string) => void) {}

  /** @returns undefined where there is no answer now. @throws what does not pass by itself */
  async ask<T extends object | string>(question: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await question();
      this.reason = undefined;
      return answer;
    } catch (error) {
      if (!isPassing(error)) throw error;
      const { message } = error as Error;
      if (this.reason === undefined) this.say(waitingSays(message));
      this.reason = message;
      return undefined;
    }
  }
}

/** @param message why there is no answer, with or without a full stop */
export function waitingSays(message: string): string {
  return `${message.replace(/\.?$/, '.')} Waiting for it …`;
}
