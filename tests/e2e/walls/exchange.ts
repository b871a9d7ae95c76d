/** Requests to the API as bytes on a connection: nothing between the test and the gateway makes them better. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { type Operation, pathParameters } from '@alto/contracts';

export interface HttpRequest {
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Problem {
  readonly code?: string;
  readonly field?: string;
  readonly detail?: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const answeredWithinMs = 30_000;

/** @returns the whole answer; of an event stream its beginning. */
export function exchange(baseUrl: string, { method, target, headers, body }: HttpRequest): Promise<HttpAnswer> {
  const { hostname, port } = new URL(baseUrl);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path: target, headers, agent }, (response) => {
      const { statusCode: status = 0, headers: given } = response;
      const chunks: Buffer[] = [];
      const finish = () => resolve({ status, headers: given, text: Buffer.concat(chunks).toString() });
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (given['content-type']?.startsWith('text/event-stream')) {
          finish();
          sent.destroy();
        }
      });
      response.on('end', finish);
      response.on('error', reject);
    });
    sent.setTimeout(answeredWithinMs, () => sent.destroy(new Error(`${method} ${target} was not answered`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

export function problemOf({ text }: HttpAnswer): Problem {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

export type Input = Readonly<Record<string, unknown>>;

/**
 * An operation's input as a client sends it: in path, query and body; of any version where one must be named.
 * @param content of an upload
 */
export function requestOf(
  operation: Operation,
  input: Input,
  key: string | undefined,
  content: string | Buffer = 'no archive',
): HttpRequest {
  const { http } = operation;
  if (http === undefined) throw new Error(`${operation.name} is not part of the API`);
  const path = http.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => segment(input[name]));
  const rest = Object.entries(input).filter(([name]) => !pathParameters(http.path).includes(name));
  const inQuery = takesBody(operation) ? rest.filter(([name]) => http.query?.includes(name)) : rest;
  const query = new URLSearchParams(inQuery.map(([name, value]): [string, string] => [name, textOf(value)])).toString();
  const body = rest.filter((field) => !inQuery.includes(field));
  const headers: Record<string, string> = {
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...(operation.precondition === 'required' && { 'if-match': '*' }),
  };
  const target = query === '' ? path : `${path}?${query}`;
  if (http.kind === 'upload') {
    return {
      method: http.method,
      target,
      headers: { ...headers, 'content-type': 'application/gzip' },
      body: content,
    };
  }
  if (!takesBody(operation)) return { method: http.method, target, headers };
  const text = JSON.stringify(Object.fromEntries(body));
  return { method: http.method, target, headers: { ...headers, 'content-type': 'application/json' }, body: text };
}

/** Its input comes as JSON in the body, but for what the path and the query hold. */
export function takesBody({ http }: Operation): boolean {
  return http !== undefined && ['PUT', 'POST', 'PATCH'].includes(http.method) && (http.kind ?? 'json') === 'json';
}

function segment(value: unknown): string {
  return encodeURIComponent(textOf(value).toWellFormed());
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
