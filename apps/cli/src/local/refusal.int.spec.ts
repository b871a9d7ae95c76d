/** Alto runs and starts no app, for want of a sandbox: what the command says then. The agent is stood in for. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Output } from '../output';
import { makeProgram } from '../program';
import { Session } from '../session';

const refusal = 'Apps are not started without a sandbox, and this machine has none: bubblewrap is not installed. …';
const status = {
  version: '1',
  pid: 1,
  nodeId: 'nod_1',
  dataDir: '/',
  startedAt: new Date(0).toISOString(),
  phase: 'running',
  sandbox: { level: 'none', reason: 'bubblewrap is not installed', refusal, unbounded: [] },
  progress: [],
  workloads: [],
};

let folder: string;
let agent: Server;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'alto-cli-'));
  mkdirSync(join(folder, 'run'));
  agent = createServer((_, response) => response.end(JSON.stringify(status)));
  const { promise, resolve } = Promise.withResolvers<void>();
  agent.listen(join(folder, 'run', 'agent.sock'), resolve);
  await promise;
});

afterEach(() => {
  agent.closeAllConnections();
  agent.close();
  rmSync(folder, { recursive: true, force: true });
});

async function alto(...argv: string[]): Promise<{ printed: string; exitCode: number }> {
  let printed = '';
  const stream = { write: (text: string) => (printed += text) };
  const output = new Output(stream, stream, argv.includes('--json'));
  const session = new Session({ ALTO_DATA_DIR: folder, HOME: folder, PATH: '/usr/bin:/bin' });
  await makeProgram(session, output).parseAsync(argv, { from: 'user' });
  return { printed, exitCode: output.exitCode };
}

describe('on a machine that starts no app', () => {
  it('alto up ends with why and what to do, and is no failure', async () => {
    const { printed, exitCode } = await alto('up', '--detach');
    expect(printed.trimEnd().endsWith(refusal)).toBe(true);
    expect(printed).toContain('Alto is running');
    expect(exitCode).toBe(0);
  });

  it('alto up --deploy deploys nothing, says so at once, and is a failure', async () => {
    const { printed, exitCode } = await alto('up', '--detach', '--deploy', 'examples/hello');
    expect(printed).not.toContain('Deploying');
    expect(printed.trimEnd().split('\n').slice(-2)).toEqual([refusal, 'So examples/hello was not deployed.']);
    expect(exitCode).toBe(1);
  });

  it('alto doctor finds fault with it', async () => {
    const { printed, exitCode } = await alto('doctor');
    expect(printed).toContain(`are not started: ${refusal}`);
    expect(printed).toContain('docs/runbooks/app-sandbox.md');
    expect(exitCode).toBe(1);
  });
});
