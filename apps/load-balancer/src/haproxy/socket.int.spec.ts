import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, SocketError } from './socket';

let folder: string;
let path: string;
let server: Server;
let connected: Socket[];
let most: number;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-socket-'));
  path = join(folder, 'admin.sock');
  [connected, most] = [[], 0];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    connected.push(socket);
    most = Math.max(most, connected.length);
    socket.on('close', () => (connected = connected.filter((other) => other !== socket)));
    socket.on('data', (command) => setImmediate(() => socket.end(`${command}`)));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

it('asks a hundred questions at once over a few connections, as HAProxy refuses an eleventh', async () => {
  const questions = Array.from({ length: 100 }, (_, number) => `show ${number}`);
  const answers = await Promise.all(questions.map((question) => ask(path, question)));
  expect(answers).toEqual(questions.map((question) => `${question}\n`));
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(3);
});

it('asks anew where nobody answered before', async () => {
  const elsewhere = join(folder, 'elsewhere.sock');
  const outcomes = await Promise.allSettled(Array.from({ length: 9 }, () => ask(elsewhere, 'show info')));
  expect(outcomes).toEqual(outcomes.map(() => ({ status: 'rejected', reason: expect.any(SocketError) })));
  await new Promise((resolve) => server.close(resolve));
  await new Promise<void>((resolve) => server.listen(elsewhere, resolve));
  expect(await ask(elsewhere, 'show info')).toBe('show info\n');
});
