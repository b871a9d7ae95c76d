import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityOf } from '../runtime/process/process-table';
import { AgentLock, AgentLockedError } from './agent-lock';

describe('AgentLock', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-lock-'));
    path = join(folder, 'agent.lock');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is held by one living process at a time, and free when released', () => {
    const lock = AgentLock.take(path);
    expect(readFileSync(path, 'utf8').split(' ')[0]).toBe(String(process.pid));
    expect(() => AgentLock.take(path)).toThrow(AgentLockedError);
    lock.release();
    AgentLock.take(path).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is taken over from a process that is gone, also when its pid is used again', () => {
    const me = identityOf(process.pid);
    writeFileSync(path, `${process.pid} 1 ${me?.boot}\n`);
    AgentLock.take(path).release();
    writeFileSync(path, `${process.pid} ${me?.started} another-boot\n`);
    AgentLock.take(path).release();
    writeFileSync(path, 'damaged');
    AgentLock.take(path).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says who holds it', () => {
    const other = spawn('sleep', ['60'], { stdio: 'ignore' });
    const holder = identityOf(other.pid ?? 0);
    writeFileSync(path, `${holder?.pid} ${holder?.started} ${holder?.boot}\n`);
    expect(() => AgentLock.take(path)).toThrow(`pid ${other.pid}`);
    other.kill('SIGKILL');
  });
});
