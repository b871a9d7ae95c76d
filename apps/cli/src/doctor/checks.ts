/** What `alto doctor` looks at. Each check stands alone, and one that fails says what to do. */
import { accessSync, constants, existsSync, readlinkSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { type AgentStatus, isWell, ownWorkloads, type WorkloadStatus } from '../local/agent';
import type { Session } from '../session';

export interface CheckResult {
  name: string;
  state: 'ok' | 'warning' | 'failed';
  message: string;
  nextStep?: string;
}

type Verdict = Omit<CheckResult, 'name'>;

interface Facts {
  session: Session;
  dataDirectory: string;
  status: AgentStatus | undefined;
}

const freeBytesLeast = 2 * 2 ** 30;
const clockSkewMostMs = 2_000;
const nodeMajor = 24;

const checks: readonly [name: string, check: (facts: Facts) => Verdict | Promise<Verdict>][] = [
  ['node', () => checkNode()],
  ['nats-server', (facts) => checkServer(facts, 'nats-server')],
  ['haproxy', (facts) => checkServer(facts, 'haproxy')],
  ['data folder', checkDataFolder],
  ['keys', checkKeys],
  ['disk', checkDisk],
  ['agent', checkAgent],
  ['apps', checkSandbox],
  ['port API', (facts) => checkPort(facts, 'api', 4000, 'ALTO_API_PORT')],
  ['port apps', (facts) => checkPort(facts, 'apps', 8080, 'ALTO_APPS_PORT')],
  ['port S3', (facts) => checkPort(facts, 's3', 9000, 'ALTO_S3_PORT')],
  ['API', checkApi],
];

/** Of these a machine has something that runs apps for an Alto elsewhere. */
const checksOfJoined = ['node', 'data folder', 'disk', 'agent', 'apps'];

export async function runChecks(session: Session): Promise<CheckResult[]> {
  const { dataDirectory, agent } = session;
  const facts = { session, dataDirectory, status: await agent.status().catch(() => undefined) };
  const results: CheckResult[] = [];
  const joined = existsSync(join(dataDirectory, 'keys', 'join.token'));
  for (const [name, check] of checks) {
    if (joined && !checksOfJoined.includes(name)) continue;
    try {
      results.push({ name, ...(await check(facts)) });
    } catch (error) {
      results.push({ name, state: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }
  if (facts.status !== undefined) results.push(...ownWorkloads(facts.status).map(checkWorkload));
  return results;
}

function checkWorkload(workload: WorkloadStatus): CheckResult {
  const { id: name, phase, reason } = workload;
  if (isWell(workload)) return { name, ...ok(`is ${phase}`) };
  const message = `is ${phase}${reason === '' ? '' : `: ${reason}`}`;
  return { name, ...failed(message, `\`alto logs --workload ${name}\` shows what it says.`) };
}

function checkNode(): Verdict {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= nodeMajor) return ok(`is ${process.versions.node}`);
  return failed(
    `is ${process.versions.node}`,
    `Alto needs Node ${nodeMajor}; \`npm install\` in its folder brings it, and ./alto uses it.`,
  );
}

function checkServer({ session, dataDirectory }: Facts, name: string): Verdict {
  const kept = join(dataDirectory, 'runtime', 'bin', name);
  if (existsSync(kept)) return ok(readlinkSync(kept));
  const folders = [...(session.environment.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return ok(found);
  return failed('was not found', `\`npm start\` fetches it; or install the package ${name}.`);
}

function checkDataFolder({ dataDirectory }: Facts): Verdict {
  if (!existsSync(dataDirectory)) return warning(`${dataDirectory} is not there yet`, '`alto up` makes it.');
  const { uid } = statSync(dataDirectory);
  const me = process.getuid?.();
  if (me !== undefined && uid !== me)
    return failed(
      `${dataDirectory} belongs to user ${uid}, not to ${me}`,
      'Run the command as its owner, or choose another folder with ALTO_DATA_DIR.',
    );
  accessSync(dataDirectory, constants.R_OK | constants.W_OK | constants.X_OK);
  return ok(dataDirectory);
}

function checkKeys({ dataDirectory }: Facts): Verdict {
  const file = join(dataDirectory, 'keys', 'admin.key');
  if (!existsSync(file)) return warning('no admin key yet', '`alto up` makes it.');
  const open = [join(dataDirectory, 'keys'), file].filter((path) => (statSync(path).mode & 0o077) !== 0);
  if (open.length === 0) return ok(file);
  return failed(
    `others can read ${open.join(' and ')}`,
    `Close it: \`chmod -R go= ${join(dataDirectory, 'keys')}\`; if somebody may have read it, make a new key and revoke this one.`,
  );
}

function checkDisk({ dataDirectory }: Facts): Verdict {
  const { bavail, bsize } = statfsSync(existsSync(dataDirectory) ? dataDirectory : '/');
  const free = bavail * bsize;
  const message = `${(free / 2 ** 30).toFixed(1)} GiB free`;
  if (free >= freeBytesLeast) return ok(message);
  return failed(message, `Alto needs ${freeBytesLeast / 2 ** 30} GiB: free some, or move the data with ALTO_DATA_DIR.`);
}

function checkAgent({ status, dataDirectory }: Facts): Verdict {
  if (status === undefined)
    return warning('does not run', `\`alto up\` starts it; its log is ${join(dataDirectory, 'logs', 'agent.log')}.`);
  return ok(`${status.phase}, process ${status.pid}`);
}

/** How far apps are walled in; an agent from before does not say. */
function checkSandbox({ status }: Facts): Verdict {
  if (status?.sandbox === undefined) return warning('how far apps are walled in is not known while no agent runs');
  const { level, reason, refusal, unbounded } = status.sandbox;
  const runbook = 'docs/runbooks/app-sandbox.md says what each level is, and what the strongest needs.';
  if (refusal !== null) return failed(`are not started: ${refusal}`, runbook);
  const problems = [
    ...(reason === null ? [] : [reason]),
    ...(unbounded.length === 0 ? [] : [`${unbounded.join(', ')} of apps cannot be limited`]),
  ];
  if (problems.length === 0) return ok(`are ${level}: own user, files, processes and network`);
  return warning(`are ${level === 'none' ? 'not sandboxed' : level}: ${problems.join('; ')}`, runbook);
}

async function checkPort({ status, session }: Facts, name: string, usual: number, setting: string): Promise<Verdict> {
  const port =
    status?.workloads.find((workload) => workload.name === 'haproxy')?.ports[name] ??
    Number(session.environment[setting] ?? usual);
  const free = await isFree(port);
  if (status !== undefined)
    return free
      ? failed(`nobody listens on ${port}`, '`alto logs --workload haproxy.0` shows why.')
      : ok(`${port} is served`);
  return free
    ? ok(`${port} is free`)
    : failed(
        `${port} is taken`,
        `\`ss -ltnp 'sport = :${port}'\` shows by whom; or choose another with ${setting}=<port>.`,
      );
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Asks as a user would, and compares clocks on the way: leases and tokens need them to agree. */
async function checkApi({ session, status }: Facts): Promise<Verdict> {
  if (status === undefined) return warning('not asked, since Alto does not run here');
  const url = await session.url();
  const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch((error: Error) => error);
  if (response instanceof Error)
    return failed(`${url} does not answer: ${response.message}`, '`alto status` shows what is down.');
  const skewMs = Math.abs(Date.now() - Date.parse(response.headers.get('date') ?? new Date().toUTCString()));
  if (skewMs > clockSkewMostMs)
    return warning(
      `its clock differs from this one by ${Math.round(skewMs / 1000)} s`,
      'Let both machines keep time with NTP.',
    );
  if (!response.ok)
    return failed(`${url} answers ${response.status}`, '`alto services` shows which service is missing.');
  const identity = await (await session.client()).identity.get({});
  return ok(`${url} answers; your key is ${identity.role}`);
}

const ok = (message: string): Verdict => ({ state: 'ok', message });
const warning = (message: string, nextStep?: string): Verdict => ({
  state: 'warning',
  message,
  ...(nextStep && { nextStep }),
});
const failed = (message: string, nextStep?: string): Verdict => ({
  state: 'failed',
  message,
  ...(nextStep && { nextStep }),
});
