/** Sockets that outlive the process which takes their connections: nobody is refused while it is started again. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, freePorts } from '@alto/testing';
import type { RunView } from '../runtime';
import { ProcessRuntime } from './process-runtime';
import { RunFolder } from './run-folder';

const host = '127.0.0.1';
let root: string;
let port: number;
let runtime: ProcessRuntime;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'alto-sockets-'));
  [port = 0] = await freePorts(1);
});

afterEach(async () => {
  await runtime.kill('a');
  await eventually(() => runtime.forget('a'));
  await runtime.close();
  rmSync(root, { recursive: true, force: true });
});

const configuration = () => join(root, 'program.cjs');

async function open(revivedAfterS: number, useCgroups = true): Promise<void> {
  runtime = await ProcessRuntime.open({
    folder: join(root, 'workloads'),
    scripts: join(root, 'scripts'),
    name: root.slice(-6),
    logBytesMax: 1 << 20,
    revivedAfterS,
    useCgroups,
  });
}

/** Says its process id to whoever connects, from a while after it was started on. */
const program = (listen: string) => `
  const server = require('node:net').createServer((socket) => socket.end(String(process.pid)));
  setTimeout(() => server.listen(${listen}), 300);`;
const inherited = '{ fd: Number(process.env.SOCKET.slice(3)) }';

async function start(listen = inherited): Promise<number> {
  writeFileSync(configuration(), program(listen));
  await runtime.start({
    id: 'a',
    command: [process.execPath, configuration()],
    env: {},
    cwd: '/',
    sockets: [{ variable: 'SOCKET', namedIn: configuration(), host, port }],
  });
  return await served();
}

/** @returns who answers, or `refused` */
async function ask(): Promise<string> {
  const socket = connect(port, host);
  const said: Buffer[] = [];
  socket.on('data', (data: Buffer) => said.push(data));
  return await once(socket, 'close').then(
    () => Buffer.concat(said).toString(),
    ({ code }: NodeJS.ErrnoException) => (code === 'ECONNREFUSED' ? 'refused' : String(code)),
  );
}

/** @returns the process that answers */
async function served(): Promise<number> {
  const pid = await eventually(async () => Number(await ask()) || false);
  await eventually(async () => expect(await runtime.observe('a')).toMatchObject({ state: 'running', pid }));
  return pid;
}

const ended = () =>
  eventually(async () => {
    const view = await runtime.observe('a');
    expect(view).toMatchObject({ state: 'ended', leftovers: 0 });
    return view as Extract<RunView, { state: 'ended' }>;
  });

const shim = () => new RunFolder(join(root, 'workloads/a/1'), 1).shim?.pid ?? 0;

it('lets connections wait while a process that was killed is started again, in the same run', async () => {
  await open(0);
  const first = await start();
  process.kill(first, 'SIGKILL');
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
  const second = await served();
  // What the killed process had in its hands is cut.
  expect(answers.filter((answer) => !['', 'ECONNRESET', String(second)].includes(answer))).toEqual([]);
  expect(second).not.toBe(first);
  expect(await runtime.observe('a')).toMatchObject({ run: 1, revivals: 1 });
  expect((await runtime.logs.read('a', { linesMax: 9 })).lines).toContainEqual(
    expect.objectContaining({ stream: 'alto', text: 'Ended with code 137; started again at once' }),
  );
});

it.each([true, false])(
  'starts nothing again that was told to end, and closes its port (cgroups: %s)',
  async (groups) => {
    await open(0, groups);
    await start();
    await runtime.signal('a', 'SIGTERM');
    expect(await ended()).toMatchObject({ run: 1, exit: { code: null, signal: 'SIGTERM' } });
    expect(await ask()).toBe('refused');
    await start();
    await runtime.kill('a');
    expect(await ended()).toMatchObject({ run: 2, exit: { code: null, signal: 'SIGKILL' } });
    expect(await ask()).toBe('refused');
  },
);

it('refuses connections where the process keeps ending: then it is the agent who says when to try again', async () => {
  await open(600);
  process.kill(await start(), 'SIGKILL');
  expect((await ended()).exit).toEqual({ code: null, signal: 'SIGKILL' });
  expect(await ask()).toBe('refused');
});

it('serves on when the shim is killed', async () => {
  await open(0);
  const pid = await start();
  process.kill(shim(), 'SIGKILL');
  expect(await served()).toBe(pid);
});

it('leaves the port to a program that opens it by itself, and starting that again to the agent', async () => {
  await open(0);
  process.kill(await start(JSON.stringify({ host, port })), 'SIGKILL');
  expect((await ended()).exit).toEqual({ code: null, signal: 'SIGKILL' });
});

it('names the port that somebody else has, and who', async () => {
  await open(0);
  const other = createServer().listen(port, host);
  await once(other, 'listening');
  await expect(start()).rejects.toThrow(`Port ${port} cannot be opened: it is taken by process ${process.pid} (`);
  other.close();
});
