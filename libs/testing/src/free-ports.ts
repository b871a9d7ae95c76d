/**
 * Ports that nobody listens on, outside the range from which the kernel serves outgoing connections: what is free there
 * stays free until a test takes it. Workers of Jest never share any.
 */
import { createServer } from 'node:net';

const first = 15_000;
const last = 19_999;
const workersMost = 2;
const given = new Set<number>();

/** @throws Error when so many are not free */
export async function freePorts(count: number): Promise<number[]> {
  const each = Math.floor((last + 1 - first) / workersMost);
  const worker = (Number(process.env['JEST_WORKER_ID'] ?? 1) - 1) % workersMost;
  const from = first + worker * each;
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count && attempt < 10_000; attempt++) {
    const port = from + Math.floor(Math.random() * each);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    ports.push(port);
  }
  if (ports.length < count) throw new Error(`no free ports between ${from} and ${from + each - 1}`);
  return ports;
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function canListen(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
