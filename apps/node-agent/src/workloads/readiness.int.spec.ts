import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually } from '@alto/testing';
import { checkReadiness } from './readiness';
import type { Workload } from './workload';

const check = (port: number, timeoutMs: number) => {
  const readiness = { kind: 'http', url: `http://127.0.0.1:${port}/ready`, timeoutMs } as const;
  return checkReadiness({ readiness } as unknown as Workload);
};

describe('a readiness check over HTTP', () => {
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    server?.close();
  });

  async function listen(answer: (socket: Socket) => void): Promise<number> {
    server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      answer(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  }

  function drip(socket: Socket, first: string, text: string): void {
    socket.write(first);
    const timer = setInterval(() => socket.write(text), 50);
    socket.once('close', () => clearInterval(timer));
  }

  it('has its time in all, however often a byte of the answer comes', async () => {
    const port = await listen((socket) => drip(socket, 'HTTP/1.1 200 OK\r\n', 'a: b\r\n'));
    expect(await check(port, 400)).toBe('Not ready: /ready did not answer within 400 ms');
  });

  it('leaves a body that does not end, and has judged by the status', async () => {
    const port = await listen((socket) => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n', 'more'));
    expect(await check(port, 3_000)).toBeNull();
    await eventually(() => [...sockets].every(({ destroyed }) => destroyed));
  });

  it('has its time in all where nobody takes the connection', async () => {
    const program = `const server = require('node:net').createServer();
      server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;
    const frozen = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const [line] = (await once(frozen.stdout, 'data')) as [Buffer];
      const port = Number(line.toString());
      frozen.kill('SIGSTOP');
      for (let waiting = 0; waiting < 8; waiting++)
        sockets.add(connect(port, '127.0.0.1').on('error', () => undefined));
      expect(await check(port, 400)).toBe('Not ready: /ready did not answer within 400 ms');
    } finally {
      frozen.kill('SIGKILL');
    }
  }, 20_000);
});
