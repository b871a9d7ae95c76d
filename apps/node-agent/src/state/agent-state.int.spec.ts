import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@alto/testing';
import { emptyMemory } from '../workloads/workload.state';
import { AgentStateStore } from './agent-state';

describe('AgentStateStore', () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'alto-agent-state-'))));
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('writes what the disk did not take as soon as it takes it, though nothing more happens', async () => {
    const path = join(root, 'state', 'agent.json');
    const failures: unknown[] = [];
    const state = new AgentStateStore(path, (error) => failures.push(error));
    writeFileSync(join(root, 'state'), 'in the way of the folder');
    state.set('a', { ...emptyMemory, restarts: 7 });
    await eventually(() => expect(failures).toHaveLength(1), { withinMs: 5_000 });
    renameSync(join(root, 'state'), join(root, 'away'));
    await eventually(() => expect(existsSync(path)).toBe(true), { withinMs: 10_000 });
    await state.flush();
    expect(new AgentStateStore(path, () => undefined).get('a')).toMatchObject({ restarts: 7 });
  });
});
