/** The headers of a request on the wire. */
import { callHeaders } from '@alto/contracts';
import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { type CallTerms, encodeTerms } from './call-terms';

export interface RequestHeaders {
  readonly requestId: string;
  readonly traceparent: string;
  readonly budgetMs: number;
  readonly callerToken?: string | undefined;
  readonly terms?: CallTerms | undefined;
}

const encoder = new TextEncoder();

/**
 * Encodes in one go. The client library checks and folds each header on its own, which costs as much as all else about
 * a request; of a header object it asks nothing but `encode`.
 */
export function encodeRequestHeaders(facts: RequestHeaders): MsgHdrs {
  const { requestId, traceparent, budgetMs, callerToken, terms } = facts;
  const text =
    `NATS/1.0\r\n${callHeaders.requestId}: ${requestId}\r\n${callHeaders.trace}: ${traceparent}\r\n` +
    `${callHeaders.budget}: ${Math.ceil(budgetMs)}\r\n` +
    (callerToken === undefined ? '' : `${callHeaders.caller}: ${callerToken}\r\n`) +
    `${encodeTerms(terms)}\r\n`;
  return { encode: () => encoder.encode(text) } as unknown as MsgHdrs;
}

/** One line may not carry another header in with it. */
export function isHeaderSafe(value: string): boolean {
  return value.length <= 2_000 && /^[\x21-\x7e]+$/.test(value);
}

export interface ReceivedHeaders {
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly budgetMs: number | undefined;
  readonly callerToken: string | undefined;
}

const none: ReceivedHeaders = {
  requestId: undefined,
  traceparent: undefined,
  budgetMs: undefined,
  callerToken: undefined,
};

/** Whatever is missing or makes no sense is left out: headers come from other processes. */
export function readRequestHeaders(message: Msg): ReceivedHeaders {
  const headers = message.headers;
  if (headers === undefined) return none;
  const requestId = headers.get(callHeaders.requestId);
  return {
    requestId: requestId !== '' && requestId.length <= 100 && isHeaderSafe(requestId) ? requestId : undefined,
    traceparent: headers.get(callHeaders.trace) || undefined,
    budgetMs: readBudget(headers.get(callHeaders.budget)),
    callerToken: headers.get(callHeaders.caller) || undefined,
  };
}

/** A budget of 0 is one that is used up; nonsense is no budget. */
export function readBudget(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
