/** Starts the node-agent as a process of its own, which goes on when the command ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../failure';
import { currentVersion } from './releases';

type Environment = Readonly<Record<string, string | undefined>>;

export interface LaunchedAgent {
  process: ChildProcess;
  /** What it has written since it was started. */
  said(): string;
}

/** Settings of the agent, the command or one machine: everything else that begins with ALTO_ is meant for services. */
const notForServices = [
  'ALTO_DATA_DIR',
  'ALTO_KEEPER',
  'ALTO_URL',
  'ALTO_API_KEY',
  'ALTO_PROJECT',
  'ALTO_API_PORT',
  'ALTO_APPS_PORT',
  'ALTO_S3_PORT',
  'ALTO_PUBLIC_HOST',
  'ALTO_PRIVATE_HOST',
  'ALTO_SERVICE_PORT_FIRST',
  'ALTO_RELEASES_SOURCE',
  'ALTO_POSTGRES_SOURCE',
  'ALTO_NATS_SERVER',
  'ALTO_HAPROXY_COMMAND',
  'ALTO_SERVICE_ENV',
  'ALTO_DATABASE_URL',
  'ALTO_SERVERS_PATH',
];

/** @param releases folder with `<service>/current`, from which the services are installed. */
export function launchAgent(dataDirectory: string, releases: string, environment: Environment): LaunchedAgent {
  const { main, version } = agentRelease(releases, join(dataDirectory, 'releases'));
  const logs = join(dataDirectory, 'logs');
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const logFile = join(logs, 'agent.log');
  const from = existsSync(logFile) ? statSync(logFile).size : 0;
  const log = openSync(logFile, 'a', 0o600);
  try {
    const agent = spawn(process.execPath, ['--max-semi-space-size=4', '--max-old-space-size=512', main], {
      cwd: dataDirectory,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...agentEnvironment(dataDirectory, releases, environment), ALTO_SERVICE_VERSION: version },
    });
    agent.unref();
    return { process: agent, said: () => readFileSync(logFile).subarray(from).toString('utf8') };
  } finally {
    closeSync(log);
  }
}

/** As for every service: a build that was not tried yet, else the version that was last chosen on this machine. */
function agentRelease(releases: string, installed: string): { main: string; version: string } {
  const built = currentVersion(releases, 'node-agent');
  const chosen = currentVersion(installed, 'node-agent');
  const isTried = built === undefined || built === currentVersion(installed, 'node-agent', 'taken');
  const [folder, version] = chosen !== undefined && isTried ? [installed, chosen] : [releases, built];
  if (version === undefined) {
    throw new CommandError(`There is no release of node-agent in ${releases}.`, 'Build it with `npm run build`.');
  }
  return { main: join(folder, 'node-agent', version, 'main.mjs'), version };
}

function agentEnvironment(dataDirectory: string, releases: string, environment: Environment): Record<string, string> {
  const given = Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const settings = given.filter(([name]) => /^(ALTO|OTEL)_/.test(name));
  const forServices = settings.filter(([name]) => !notForServices.includes(name) && !name.endsWith('_DATABASE_URL'));
  const ownReleases = releases === join(dataDirectory, 'releases');
  return {
    ...Object.fromEntries(given.filter(([name]) => ['PATH', 'HOME', 'TMPDIR', 'LANG'].includes(name))),
    ...Object.fromEntries(settings),
    NODE_ENV: 'production',
    MALLOC_ARENA_MAX: '2',
    NODE_COMPILE_CACHE: join(dataDirectory, 'runtime', 'compiled', 'node-agent'),
    ALTO_DATA_DIR: dataDirectory,
    ALTO_KEEPER: environment.ALTO_KEEPER ?? 'on',
    // Apps find the Node that stays, not the one of this command.
    ALTO_NODE_BIN_DIR:
      environment.ALTO_NODE_BIN_DIR ?? join(dataDirectory, 'runtime', `node-${process.versions.node}`, 'bin'),
    ...(!ownReleases && { ALTO_RELEASES_SOURCE: environment.ALTO_RELEASES_SOURCE ?? releases }),
    ALTO_SERVICE_ENV: environment.ALTO_SERVICE_ENV ?? JSON.stringify(Object.fromEntries(forServices)),
  };
}
