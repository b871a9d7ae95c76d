/** The script alone, with programs in the place of agents that say who they are and do as they are told. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, isAlive } from '@alto/testing';
import { handoverScript } from './handover-script';

let folder: string;
let handover: ChildProcess;
const path = (name: string) => join(folder, name);
const told = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), 'utf8').trim() : '');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alto-handover-'));
  writeFileSync(path('handover.sh'), handoverScript);
  agent('old', 'sleep 60');
});
afterEach(() => {
  for (const name of ['old', 'new']) end(Number(told(`${name}.pid`)));
  end(handover.pid ?? 0);
  rmSync(folder, { recursive: true, force: true });
});

function end(pid: number): void {
  if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
}

/** A program that notes that it was started, as which version and process, and goes on with `action`. */
function agent(name: string, action: string): void {
  const lines = [
    `echo $$ >"${path(`${name}.pid`)}"`,
    `echo "$ALTO_SERVICE_VERSION" >"${path(`${name}.started`)}"`,
    action,
  ];
  writeFileSync(path(name), `${lines.join('\n')}\n`);
  chmodSync(path(name), 0o755);
}

function handOver(seconds: number, record = path('record')): void {
  const words = [path('handover.sh'), record, String(seconds), '2', path('new'), '1', path('old'), '/bin/sh'];
  handover = spawn('/bin/sh', words, { stdio: ['pipe', 'ignore', 'ignore'] });
}

const atWork = () => `read -r state version script <"${path('record')}"; echo "ready 2 $script" >"${path('record')}"`;
const record = () => told('record').split(' ').slice(0, 2).join(' ');
const started = (name: string, version: string) =>
  eventually(() => expect(told(`${name}.started`)).toBe(version), { withinMs: 20_000 });

describe('a handover', () => {
  it('begins when the old agent has let go, and leaves the new one alone that is at work', async () => {
    agent('new', `${atWork()}\nexec sleep 60`);
    handOver(20);
    expect(told('new.started')).toBe('');
    handover.stdin?.end();
    await started('new', '2');
    await eventually(() => expect(handover.exitCode).toBe(0), { withinMs: 20_000 });
    expect(isAlive(Number(told('new.pid')))).toBe(true);
    expect([record(), told('old.started')]).toEqual(['ready 2', '']);
  });

  it('leaves a new one that ends after it was at work to its keeper', async () => {
    agent('new', atWork());
    handOver(20);
    handover.stdin?.end();
    await eventually(() => expect(handover.exitCode).toBe(0), { withinMs: 20_000 });
    expect([record(), told('old.started')]).toEqual(['ready 2', '']);
  });

  it('is over when the next one begins, before it has seen that its own agent is at work', async () => {
    agent('new', `${atWork()}\nexec sleep 60`);
    handOver(20);
    handover.stdin?.end();
    await eventually(() => expect(record()).toBe('ready 2'), { withinMs: 20_000, everyMs: 10 });
    writeFileSync(path('record'), 'starting 1 0\n');
    end(Number(told('new.pid')));
    await eventually(() => expect(handover.exitCode).toBe(0), { withinMs: 20_000 });
    expect([told('record'), told('old.started')]).toEqual(['starting 1 0', '']);
  });

  it('starts the old one again when the new one ends', async () => {
    agent('new', 'exit 3');
    handOver(20);
    handover.stdin?.end();
    await started('old', '1');
    expect(record()).toBe('failed 2');
  });

  it('goes back to the old one where no record can be written', async () => {
    agent('new', 'exec sleep 60');
    handOver(20, path('missing/record'));
    handover.stdin?.end();
    await started('old', '1');
    expect(told('new.started')).toBe('');
  });

  it('ends a new one that says nothing within its time, and starts the old one again', async () => {
    agent('new', 'exec sleep 60');
    handOver(5);
    handover.stdin?.end();
    await started('new', '2');
    const silent = Number(told('new.pid'));
    await started('old', '1');
    expect(isAlive(silent)).toBe(false);
    expect(record()).toBe('failed 2');
  });
});
