/**
 * What nobody sends in good faith, as bytes on a connection: forms of request smuggling, what is no HTTP, and clients
 * that are slow on purpose.
 */
import { connect, type Socket } from 'node:net';

/** Nobody knows whether an answer comes at all. */
const answersWithinMs = 2_000;
const expectedWithinMs = 30_000;
/** After an answer came, another that should not come would. */
const graceMs = 150;

/** A port of this machine, or a unix socket. */
export type Target = { readonly port: number } | { readonly path: string };

/**
 * Sends bytes and then nothing.
 * @param answers that are to come; they may take long on a busy machine
 * @returns all that came back until the other side closed, or fell silent
 */
export function sendBytes(text: string, target: Target, answers = 0): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ host: '127.0.0.1', ...target }, () => socket.write(text, 'latin1'));
    socket.setTimeout(answers === 0 ? answersWithinMs : expectedWithinMs, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (statusesOf(answer).length >= answers) socket.setTimeout(graceMs);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

/** Of all answers that came back. */
export function statusesOf(answer: string): number[] {
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** Whom the forms are sent to. */
export interface Attacked {
  /** Where an attacker may go. */
  readonly first: string;
  /** Where an attacker may not get by it. */
  readonly smuggled: string;
  /** `Name: value`, for both. */
  readonly header: string;
}

export const nobody: Attacked = { first: '/first', smuggled: '/smuggled', header: 'X-Attack: yes' };

function partsOf({ first, smuggled, header }: Attacked) {
  const post = (headers: string, body: string) =>
    `POST ${first} HTTP/1.1\r\nHost: a.test\r\n${header}\r\n${headers}\r\n\r\n${body}`;
  return {
    first,
    hidden: `GET ${smuggled} HTTP/1.1\r\nHost: a.test\r\n${header}\r\n\r\n`,
    post,
    chunked: (body: string) => post('Transfer-Encoding: chunked', body),
    get: (line: string, headers = 'Host: a.test') => `${line}\r\n${header}\r\n${headers}\r\n\r\n`,
  };
}

/** What a strict reader refuses. */
export function refusedForms(attacked: Attacked): Record<string, string> {
  const { first, hidden, post, chunked, get } = partsOf(attacked);
  return {
    'two lengths': post('Content-Length: 3\r\nContent-Length: 4', 'abcd'),
    'two lengths in one header': post('Content-Length: 3, 4', 'abcd'),
    'a length with a sign': post('Content-Length: +3', 'abc'),
    'a length below zero': post('Content-Length: -1', 'abc'),
    'a length in base 16': post('Content-Length: 0x3', 'abc'),
    'a length with zeros before it': post('Content-Length: 003', 'abc'),
    'a length that overflows': post('Content-Length: 18446744073709551619', 'abc'),
    'an empty length': post('Content-Length:', 'abc'),
    'an unknown encoding': post('Transfer-Encoding: xchunked', 'abc'),
    'an encoding after chunked': post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${hidden}`),
    'an encoding before chunked': post('Transfer-Encoding: identity, chunked', `0\r\n\r\n${hidden}`),
    'chunked in capitals': post('TRANSFER-ENCODING: CHUNKED', `0\r\n\r\n${hidden}`),
    'a tunnel': get('CONNECT a.test:443 HTTP/1.1'),
    'an echo': get(`TRACE ${first} HTTP/1.1`),
    'HTTP/2 without asking': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/0.9': `GET ${first}\r\n\r\n`,
    'chunked twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', `0\r\n\r\n`),
    'chunked in quotes': post('Transfer-Encoding: "chunked"', `0\r\n\r\n${hidden}`),
    'chunked with a parameter': post('Transfer-Encoding: chunked;q=1', `0\r\n\r\n${hidden}`),
    'chunked after a vertical tab': post('Transfer-Encoding: \x0bchunked', `0\r\n\r\n${hidden}`),
    'a space before the colon': post('Transfer-Encoding : chunked', `0\r\n\r\n${hidden}`),
    'a length with a space before the colon': post('Content-Length : 3', 'abc'),
    'a header name with a NUL': post('X-\0A: b', ''),
    'a header value with a NUL': post('X-A: a\0b', ''),
    'a header without a colon': post('X-A', ''),
    'a header without a name': post(': a', ''),
    'a header with a bare carriage return': post('X-A: a\rTransfer-Encoding: chunked', `0\r\n\r\n${hidden}`),
    'a chunk size with a sign': chunked('+3\r\nabc\r\n0\r\n\r\n'),
    'a chunk size in the wrong base': chunked('0x3\r\nabc\r\n0\r\n\r\n'),
    'a chunk size below zero': chunked('-1\r\nabc\r\n0\r\n\r\n'),
    'a chunk size that overflows': chunked('ffffffffffffffff3\r\nabc\r\n0\r\n\r\n'),
    'a chunk that is longer than its size': chunked(`3\r\nabcdef\r\n0\r\n\r\n`),
    'chunks with HTTP/1.0': `POST ${first} HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    'no host': get(`GET ${first} HTTP/1.1`, 'X-A: b'),
    'an empty host': get(`GET ${first} HTTP/1.1`, 'Host:'),
    'two hosts': get(`GET ${first} HTTP/1.1`, 'Host: a.test\r\nHost: b.test'),
    'another host in the target': get(`GET http://b.test${first} HTTP/1.1`),
    'a host with a user': get(`GET ${first} HTTP/1.1`, 'Host: a.test@b.test'),
    'a host with a path': get(`GET ${first} HTTP/1.1`, 'Host: a.test/b'),
    'two hosts in one': get(`GET ${first} HTTP/1.1`, 'Host: a.test, b.test'),
    'a NUL in the target': get(`GET ${first}\0 HTTP/1.1`),
    'a space in the target': get(`GET ${first} x HTTP/1.1`),
    'a fragment in the target': get(`GET ${first}#x HTTP/1.1`),
    'a target without a slash': get(`GET ${first.slice(1)} HTTP/1.1`),
    'a method with a NUL': get(`G\0T ${first} HTTP/1.1`),
    'another protocol': get(`GET ${first} FTP/1.1`),
    'a header of 20 KiB': post(`X-A: ${'a'.repeat(20_480)}`, ''),
    'a target of 20 KiB': get(`GET /${'a'.repeat(20_480)} HTTP/1.1`),
    'five hundred headers': post(Array.from({ length: 500 }, (_, number) => `X-${number}: a`).join('\r\n'), ''),
  };
}

/** Whoever resolved them would serve a path that no route meant. */
export function hiddenPaths(attacked: Attacked): Record<string, string> {
  const { first, get } = partsOf(attacked);
  return {
    'a way out of a folder': get(`GET /a/..${first} HTTP/1.1`),
    'a hidden way out of a folder': get(`GET /a/%2e%2E${first} HTTP/1.1`),
    'a long way out of a folder': get(`GET /a/..%2f..${first} HTTP/1.1`),
    'a way out of a folder at the end': get('GET /a/.. HTTP/1.1'),
    'a way out of a folder before a query': get('GET /a/..?b HTTP/1.1'),
    'a way out of a folder with a parameter': get(`GET /a/..;b${first} HTTP/1.1`),
    'a way out of a folder in a whole address': get(`GET http://a.test/a/..${first} HTTP/1.1`),
  };
}

/** May be taken, understood in one way: as one request at most, and never as the one that is hidden in it. */
export function normalisedForms(attacked: Attacked): Record<string, string> {
  const { first, hidden, post, chunked, get } = partsOf(attacked);
  return {
    'a length and chunks': post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    'chunks and a length': post(
      'Transfer-Encoding: chunked\r\nContent-Length: 4',
      `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    ),
    'two lengths that agree': post('Content-Length: 3\r\nContent-Length: 3', 'abc'),
    'bare line feeds': `POST ${first} HTTP/1.1\nHost: a.test\nContent-Length: ${hidden.length}\n\n${hidden}`,
    'a folded header': post('X-A: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 3', 'abc'),
    'a folded encoding': post(
      `Transfer-Encoding:\r\n chunked`,
      `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    ),
    'an encoding that ends in spaces': post(
      'Transfer-Encoding: \t chunked \t',
      `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    ),
    'an encoding spelt with an underscore': post(
      `Transfer_Encoding: chunked\r\nContent-Length: ${hidden.length}`,
      hidden,
    ),
    'a chunk with an extension': chunked('3;a=b\r\nabc\r\n0\r\n\r\n'),
    'a chunk with an extension that hides a line feed': chunked('3;a\nb\r\nabc\r\n0\r\n\r\n'),
    'chunks that end in bare line feeds': chunked('3\nabc\n0\n\n'),
    'a trailer that says how long the body was': chunked(
      '0\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n',
    ),
    'a body to a request that usually has none': `GET ${first} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
    'a length that the connection does not keep': post(`Content-Length: ${hidden.length + 10}`, hidden),
    'a length hidden as belonging to the connection': post(
      `Connection: Content-Length\r\nContent-Length: ${hidden.length}`,
      hidden,
    ),
    'a host hidden as belonging to the connection': get(
      `GET ${first} HTTP/1.1`,
      'Host: a.test\r\nConnection: close, Host',
    ),
    'an upgrade to HTTP/2': get(
      `GET ${first} HTTP/1.1`,
      'Host: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
    ),
    'a later version': get(`GET ${first} HTTP/1.7`),
    'every target': get('OPTIONS * HTTP/1.1'),
  };
}

export interface SlowOptions {
  readonly port: number;
  readonly count: number;
  /** What each sends at once. */
  readonly beginning: string;
  /** What each sends again and again; nothing unless given. */
  readonly drip?: string;
  readonly everyMs?: number;
}

/** Another address than that of everybody else in a test. */
const attacker = '127.0.0.2';

/** Connections that send a little now and then. `ended` resolves with how many milliseconds each lasted. */
export class SlowClients {
  readonly ended: Promise<number[]>;
  private readonly sockets: Socket[];
  private readonly timer: NodeJS.Timeout | undefined;

  constructor({ port, count, beginning, drip, everyMs }: SlowOptions) {
    const startedAt = performance.now();
    this.sockets = Array.from({ length: count }, () => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: attacker });
      socket.on('error', () => undefined);
      socket.on('data', () => undefined);
      socket.write(beginning);
      return socket;
    });
    if (drip !== undefined) this.timer = setInterval(() => this.open.forEach((one) => one.write(drip)), everyMs);
    this.ended = Promise.all(
      this.sockets.map(
        (socket) => new Promise<number>((resolve) => socket.on('close', () => resolve(performance.now() - startedAt))),
      ),
    );
  }

  get open(): Socket[] {
    return this.sockets.filter((socket) => !socket.destroyed && socket.writable);
  }

  stop(): void {
    clearInterval(this.timer);
    this.sockets.forEach((socket) => socket.destroy());
  }
}
