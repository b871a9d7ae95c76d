/** W3C Trace Context (https://www.w3.org/TR/trace-context/), level 1: reading and making `traceparent`. */
import { randomFillSync } from 'node:crypto';

const pattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const noTrace = '0'.repeat(32);
const noSpan = '0'.repeat(16);

/** Random bytes are drawn many at a time: one draw per request would cost more than the rest of its headers. */
const pool = Buffer.alloc(24 * 256);
let used = pool.length;

/** Starts a new trace. @param sampled whether its spans are recorded. */
export function newTraceparent(sampled = false): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const traceId = pool.toString('hex', used, used + 16);
  const spanId = pool.toString('hex', used + 16, used + 24);
  used += 24;
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** What came in, or a new trace when that is not valid. */
export function acceptTraceparent(header: string | undefined, sampled = false): string {
  if (header === undefined || header.length !== 55) return newTraceparent(sampled);
  const isValid = pattern.test(header) && traceIdOf(header) !== noTrace && spanIdOf(header) !== noSpan;
  return isValid ? header : newTraceparent(sampled);
}

export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35);
}

export function spanIdOf(traceparent: string): string {
  return traceparent.slice(36, 52);
}

export function isSampled(traceparent: string): boolean {
  return (Number.parseInt(traceparent.slice(53), 16) & 1) === 1;
}
