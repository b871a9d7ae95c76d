// An app that has something to lose when it is stopped: requests that take two seconds, and open WebSockets. It ends
// both in peace. GET / says which version and instance answers, /slow the same after two seconds, and a WebSocket on
// any path greets, then repeats what it is sent.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const slowMs = 2_000;
const port = Number(process.env.PORT);
const instance = process.env.ALTO_INSTANCE ?? `pid-${process.pid}`;
const version = process.env.VERSION ?? '';
const answer = `${JSON.stringify({ version, instance })}\n`;
const sockets = new Set();
let stopping = false;

const server = createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok\n');
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(answer));
  if (stopping) response.setHeader('connection', 'close');
  if (request.url === '/slow') setTimeout(() => response.end(answer), slowMs);
  else response.end(answer);
});

server.on('upgrade', (request, socket) => {
  const proof = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  const head = [
    '101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${proof}`,
  ];
  socket.write(`HTTP/1.1 ${head.join('\r\n')}\r\n\r\n`);
  socket.write(frame(1, Buffer.from(answer)));
  sockets.add(socket);
  socket.on('data', (data) => repeat(socket, data));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    sockets.delete(socket);
    endWhenIdle();
  });
});

// RFC 6455: what a browser sends is masked; short messages in one frame are all that this example knows.
function repeat(socket, data) {
  const opcode = data[0] & 0x0f;
  const length = data[1] & 0x7f;
  if (opcode === 8 || length > 125) return socket.end(frame(8, Buffer.from([0x03, 0xe8])));
  const mask = data.subarray(2, 6);
  const text = data.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]);
  if (opcode === 1) socket.write(frame(1, text));
}

function frame(opcode, payload) {
  return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]);
}

function endWhenIdle() {
  if (stopping && sockets.size === 0) server.close(() => process.exit(0));
}

server.listen(port, process.env.HOST ?? '127.0.0.1', () => console.log(`${instance} listens on ${port}`));

// 1001: "going away". Browsers connect again and reach an instance that stays.
process.on('SIGTERM', () => {
  stopping = true;
  console.log(`${instance} stops`);
  for (const socket of sockets) socket.end(frame(8, Buffer.from([0x03, 0xe9])));
  endWhenIdle();
});
