/**
 * An instance that reads as strictly as one can: what two readers might understand differently is a violation, and
 * every request that its bytes hold is kept. So nobody has to guess what another server would have made of them.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  /** Lower-case names. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const requestLine = /^([A-Z]+) ([\x21\x22\x24-\x7e]+) HTTP\/1\.1$/;
/** HAProxy's own look whether the instance serves. */
const check = /^GET \/readyz HTTP\/1\.0\r\n([\s\S]*\r\n)?\r\n$/;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$/;
const chunkLine = /^[0-9a-fA-F]{1,15}$/;

export class StrictBackend {
  readonly requests: SeenRequest[] = [];
  /** What two readers might understand differently. */
  readonly violations: string[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<StrictBackend> {
    const server = createServer();
    const backend = new StrictBackend(server);
    server.on('connection', (socket) => backend.serve(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return backend;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  forget(): void {
    this.requests.splice(0);
    this.violations.splice(0);
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (check.test(text)) return void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      try {
        for (let read = readRequest(text); read !== undefined; read = readRequest(text)) {
          text = read.rest;
          this.requests.push(read.request);
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        }
      } catch (error) {
        this.violations.push((error as Error).message);
        socket.destroy();
      }
    });
  }
}

/** @returns undefined while the request is not whole. @throws Error at what is not strictly right */
function readRequest(text: string): { request: SeenRequest; rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) {
    if (/(^|[^\r])\n/.test(text)) throw new Error(`a bare line feed in ${JSON.stringify(text.slice(0, 200))}`);
    return undefined;
  }
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, method = '', target = ''] = requestLine.exec(first) ?? fail('request line', first);
  const headers = lines.map((line) => {
    const [, name = '', value = ''] = headerLine.exec(line) ?? fail('header', line);
    return [name.toLowerCase(), value] as const;
  });
  const body = readBody(text, end + 4, headers);
  return body && { request: { method, target, headers, body: body.text }, rest: text.slice(body.end) };
}

function readBody(
  text: string,
  from: number,
  headers: SeenRequest['headers'],
): { text: string; end: number } | undefined {
  const all = (wanted: string) => headers.filter(([name]) => name === wanted).map(([, value]) => value);
  const [hosts, lengths, encodings] = [all('host'), all('content-length'), all('transfer-encoding')];
  if (hosts.length !== 1) fail('number of hosts', hosts.join(' and '));
  if (lengths.length + encodings.length > 1) fail('framing', [...lengths, ...encodings].join(' and '));
  if (encodings.length === 1) {
    if (encodings[0] !== 'chunked') fail('transfer encoding', encodings[0]!);
    return readChunks(text, from);
  }
  const length = lengths[0] ?? '0';
  if (!/^(0|[1-9]\d{0,14})$/.test(length)) fail('length', length);
  const end = from + Number(length);
  return text.length < end ? undefined : { text: text.slice(from, end), end };
}

function readChunks(text: string, from: number): { text: string; end: number } | undefined {
  let body = '';
  for (let at = from; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const line = text.slice(at, lineEnd);
    if (!chunkLine.test(line)) fail('size of a chunk', line);
    const size = Number.parseInt(line, 16);
    if (size === 0) return readTrailers(text, lineEnd + 2, body);
    const end = lineEnd + 2 + size;
    if (text.length < end + 2) return undefined;
    if (text.slice(end, end + 2) !== '\r\n') fail('end of a chunk', text.slice(end, end + 20));
    body += text.slice(lineEnd + 2, end);
    at = end + 2;
  }
}

/** They say nothing of the message's length, whatever their names (RFC 9112, section 7.1.2). */
function readTrailers(text: string, from: number, body: string): { text: string; end: number } | undefined {
  for (let at = from; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    if (lineEnd === at) return { text: body, end: at + 2 };
    if (!headerLine.test(text.slice(at, lineEnd))) fail('trailer', text.slice(at, lineEnd));
    at = lineEnd + 2;
  }
}

function fail(what: string, text: string): never {
  throw new Error(`the ${what} is ${JSON.stringify(text.slice(0, 200))}`);
}
