/** Reads a JSON request body within limits of size, depth and time. */
import type { Readable } from 'node:stream';
import { AltoError } from '@alto/contracts';

export interface BodyLimits {
  bytesMax: number;
  depthMax: number;
  /** Values of all objects and lists together: what they cost in memory has nothing to do with bytes. */
  elementsMax: number;
  /** From the first to the last byte: a client slower than that is cut. */
  timeoutMs: number;
}

export interface BodyHeaders {
  'content-type'?: string;
  'content-length'?: string;
  'content-encoding'?: string;
}

/** Undefined when there is no body. @throws AltoError too_large, unsupported_media_type, invalid_request, request_timeout. */
export async function readJsonBody(stream: Readable, headers: BodyHeaders, limits: BodyLimits): Promise<unknown> {
  if (Number(headers['content-length'] ?? 0) > limits.bytesMax) throw tooLarge(limits);
  const bytes = await collect(stream, limits);
  if (bytes.length === 0) return undefined;
  if (!/^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(headers['content-type'] ?? '')) {
    throw new AltoError('unsupported_media_type', {
      message: 'The body must be JSON.',
      field: 'Content-Type',
      nextStep: 'Send the header "Content-Type: application/json".',
    });
  }
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new AltoError('unsupported_media_type', {
      message: 'A compressed body is not accepted.',
      field: 'Content-Encoding',
    });
  }
  return parseJson(bytes, limits);
}

/**
 * Depth and number of elements are checked on the text, before parsing: `JSON.parse` takes any depth, and everything
 * that walks its result recursively (stringify, validation) would then overflow the stack.
 */
export function parseJson(
  bytes: Uint8Array,
  { depthMax, elementsMax }: Omit<BodyLimits, 'bytesMax' | 'timeoutMs'>,
): unknown {
  const { depth, elements } = measure(bytes);
  if (depth > depthMax) throw new AltoError('invalid_request', `The body is nested deeper than ${depthMax} levels.`);
  if (elements > elementsMax) {
    throw new AltoError('too_large', `The body has more than ${elementsMax} values in its objects and lists.`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new AltoError('invalid_request', `The body is not valid JSON: ${(error as Error).message}`);
  }
}

/** The stream is left as it is when reading ends early: an answer can still be sent on its connection. */
function collect(stream: Readable, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (how: () => void) => {
      clearTimeout(timer);
      stream.off('data', take).off('end', end).off('error', fail).off('close', cut).pause();
      how();
    };
    const fail = (error: Error) => settle(() => reject(error));
    const end = () => settle(() => resolve(Buffer.concat(chunks, size)));
    const cut = () => fail(new AltoError('invalid_request', 'The connection ended before the body did.'));
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > limits.bytesMax) fail(tooLarge(limits));
    };
    const late = () => fail(new AltoError('request_timeout', `The body did not arrive within ${limits.timeoutMs} ms.`));
    const timer = setTimeout(late, limits.timeoutMs);
    stream.on('data', take).once('end', end).once('error', fail).once('close', cut);
  });
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, COMMA] = Buffer.from('"\\[]{},');

/** Elements: one for each comma and each bracket that opens, so an empty object counts as one. */
function measure(bytes: Uint8Array): { depth: number; elements: number } {
  let depth = 0;
  let deepest = 0;
  let elements = 0;
  let inText = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (inText) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (byte === COMMA) elements++;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      elements++;
      deepest = Math.max(deepest, ++depth);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
  return { depth: deepest, elements };
}

function tooLarge({ bytesMax }: BodyLimits): AltoError {
  return new AltoError('too_large', `The body is larger than ${bytesMax} bytes.`);
}
