/** What becomes of an Alto that is being started when something comes between. The agent is stood in for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Output } from '../output';
import { makeProgram } from '../program';
import { Session } from '../session';

const workload = { id: 'nats.0', kind: 'static', name: 'nats', want: 'running', reason: '', pid: 1, startedAtMs: 0 };
const more = { restarts: 0, release: null, ports: {} };

let folder: string;
let agent: Server;
/** Of the agent, and of the one thing that it runs. */
let phases: { agent: string; nats: string };
/** In which phase the agent was told to stop all; undefined while it was not. */
let stoppedIn: string | undefined;
let looks: number;
/** Called when the agent has been looked at so often. */
let onLook: Record<number, () => void>;
/** Ctrl-C is pressed once this was printed. */
let pressAfter: string;
/** Of a proxy that the agent runs, too. */
let apiPort: number | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-up-'));
  for (const name of ['run', 'keys', 'app']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'keys', 'admin.key'), 'operator\n');
  [stoppedIn, looks, onLook, pressAfter, apiPort] = [undefined, 0, {}, 'nothing of the kind', undefined];
  phases = { agent: 'starting', nats: 'starting' };
  agent = createServer(({ method }, response) => {
    if (method === 'POST') {
      stoppedIn = phases.agent;
      response.end('{"message":"nats.0 stops"}\n{"done":true}\n');
      return;
    }
    onLook[(looks += 1)]?.();
    const proxy = { ...workload, ...more, id: 'haproxy', name: 'haproxy', phase: 'ready', ports: { api: apiPort } };
    const workloads = [{ ...workload, ...more, phase: phases.nats }, ...(apiPort === undefined ? [] : [proxy])];
    const known = { version: '1', pid: 1, nodeId: 'nod_1', startedAt: new Date(0).toISOString(), progress: [] };
    response.end(JSON.stringify({ ...known, phase: phases.agent, workloads }));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  agent.listen(join(folder, 'run', 'agent.sock'), resolve);
  await promise;
});

afterEach(() => {
  agent.closeAllConnections();
  agent.close();
  rmSync(folder, { recursive: true, force: true });
});

const press = () => void process.emit('SIGINT');

async function up(...argv: string[]) {
  let printed = '';
  const write = (text: string) => {
    printed += text;
    if (text.includes(pressAfter)) setImmediate(press);
  };
  const stream = { write };
  const output = new Output(stream, stream, false);
  const program = makeProgram(new Session({ ALTO_DATA_DIR: folder, HOME: folder }), output);
  const failure = await program.parseAsync(['up', ...argv], { from: 'user' }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { printed, exitCode: output.exitCode, failure };
}

it('is over once the proxy leads to the gateway, which it answers for with 503 until it has seen it', async () => {
  const statuses = [503, 503, 200];
  const answered: number[] = [];
  const proxy = createServer((_, response) => {
    answered.push(statuses[answered.length] ?? 200);
    response.writeHead(answered.at(-1)!).end();
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  try {
    apiPort = (proxy.address() as AddressInfo).port;
    phases = { agent: 'running', nats: 'ready' };
    const { failure } = await up('--detach');
    expect(failure).toBeUndefined();
    expect(answered).toEqual(statuses);
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

describe('Ctrl-C while Alto starts', () => {
  it('stops all in order, and ends with 130', async () => {
    onLook = { 3: press };
    const { printed, exitCode, failure } = await up();
    expect(failure).toBeUndefined();
    expect(stoppedIn).toBe('starting');
    expect(printed).toMatch(/nats\.0 stops\s+Alto has stopped/);
    expect(exitCode).toBe(130);
    expect(process.listenerCount('SIGINT')).toBe(0);
  });

  it('lets the agent finish what it prepares once', async () => {
    phases.agent = 'preparing';
    onLook = { 3: press, 5: () => (phases.agent = 'starting') };
    await up();
    expect(stoppedIn).toBe('starting');
  });

  it('in the background leaves it, and says that it goes on and how to stop it', async () => {
    onLook = { 3: press };
    const { failure } = await up('--detach');
    expect(failure).toMatchObject({
      message: expect.stringContaining('goes on starting'),
      nextStep: expect.stringContaining('`alto down` stops it'),
      exitCode: 130,
    });
    expect(stoppedIn).toBeUndefined();
  });
});

describe('a first deployment that fails', () => {
  beforeEach(() => {
    phases = { agent: 'running', nats: 'ready' };
  });

  it('is told of at the end, with that Alto goes on and how to stop it', async () => {
    const { printed, exitCode } = await up('--detach', '--deploy', join(folder, 'app'));
    expect(printed).toMatch(/Alto is running[\s\S]*alto\.yaml[\s\S]*Alto itself goes on running; .*down` stops it/);
    expect(exitCode).toBe(2);
    expect(stoppedIn).toBeUndefined();
  });

  it('leaves Alto in the foreground, where Ctrl-C stops it', async () => {
    pressAfter = 'Ctrl-C stops Alto';
    const { printed, exitCode } = await up('--deploy', join(folder, 'app'));
    expect(printed).toMatch(/alto\.yaml[\s\S]*Ctrl-C stops Alto[\s\S]*Alto has stopped/);
    expect(exitCode).toBe(2);
    expect(stoppedIn).toBe('running');
  });
});
