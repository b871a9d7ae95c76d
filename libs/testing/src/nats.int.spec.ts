import { existsSync } from 'node:fs';
import { connect } from '@nats-io/transport-node';
import { buildChild } from './child';
import { eventually } from './eventually';
import { startNats } from './nats';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('a server keeps its port and store over a kill, and leaves nothing behind', async () => {
  const nats = await startNats();
  const { port, folder } = nats;
  const before = nats.pid;
  await nats.kill();
  await nats.start();
  expect(nats.port).toBe(port);
  expect(nats.pid).not.toBe(before);
  const connection = await connect({ servers: nats.url });
  await connection.close();
  const pid = nats.pid!;
  nats.pause();
  await nats.stop();
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(folder)).toBe(false);
});

it('a server that cannot start says so with its log', async () => {
  await expect(startNats({ config: 'nonsense {' })).rejects.toThrow(/did not start; its log:\n.*Parse error/s);
  await expect(startNats({ binary: 'no-such-server' })).rejects.toThrow(/ENOENT/);
});

it('a secured server refuses who has no credentials', async () => {
  const nats = await startNats({ secured: true });
  await expect(connect({ servers: nats.url, reconnect: false })).rejects.toThrow(/auth/i);
  await nats.stop();
});

it('a server does not outlive a test process that is killed', async () => {
  const program = await buildChild(new URL('./fixtures/nats-holder.ts', import.meta.url));
  try {
    const child = program.start({});
    const { pid, folder } = (await child.said({ started: true })) as { pid: number; folder: string };
    expect(isAlive(pid)).toBe(true);
    await child.kill();
    await eventually(() => {
      expect(isAlive(pid)).toBe(false);
      expect(existsSync(folder)).toBe(false);
    });
  } finally {
    await program.remove();
  }
});
