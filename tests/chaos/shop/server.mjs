// Says of every order when it begins and when its answer is written, so that a test knows which were in flight.
import { createServer } from 'node:http';

const orderTakesMs = 15_000;
const answer = `${JSON.stringify({ instance: process.env.ALTO_INSTANCE })}\n`;

const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  if (request.method !== 'POST') return response.end(answer);
  const order = request.url.split('/').at(-1);
  console.log(`began ${order}`);
  request.resume();
  response.on('finish', () => console.log(`answered ${order}`));
  setTimeout(() => response.end(answer), orderTakesMs);
});

server.listen(process.env.PORT, process.env.HOST ?? '127.0.0.1');

process.on('SIGTERM', () => server.close(() => process.exit(0)));
