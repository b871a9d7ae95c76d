// A small web app: says which instance answers, and finishes what it has begun before it stops.
import { createServer } from 'node:http';

const port = Number(process.env.PORT);
const instance = process.env.ALTO_INSTANCE ?? `pid-${process.pid}`;
const startedAt = new Date().toISOString();

const server = createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok\n');
  response.setHeader('content-type', 'application/json');
  response.end(
    `${JSON.stringify({ message: 'Hello from Alto', instance, pid: process.pid, startedAt, path: request.url })}\n`,
  );
});

server.listen(port, process.env.HOST ?? '127.0.0.1', () => console.log(`${instance} listens on ${port}`));

process.on('SIGTERM', () => {
  console.log(`${instance} stops`);
  server.close(() => process.exit(0));
});
