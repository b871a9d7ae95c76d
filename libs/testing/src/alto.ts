/**
 * A whole Alto as users run it: built releases, the agent, real servers, random ports, a folder of its own. Its parts
 * can be killed, paused, resumed and restarted. Nothing is left of it after `stop()`; its logs are kept on failure.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AltoClient } from '@alto/sdk';
import { freePorts } from './free-ports';
import { AltoMachine } from './machine';
import { repositoryRoot } from './repository';

const execute = promisify(execFile);

export interface AltoOptions {
  /** Settings of the agent and of all services, by the names of their environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Where the built releases and the servers lie. */
export interface Prepared {
  readonly program: string;
  /** Settings for an agent that say so. */
  readonly settings: Record<string, string>;
}

let prepared: Promise<Prepared> | undefined;

/** Builds what has changed and starts an Alto. @throws Error with what it said when it does not come up. */
export async function startAlto(options: AltoOptions = {}): Promise<Alto> {
  const { program, settings } = await prepareAlto();
  const folder = dataFolder();
  const [api = 0, apps = 0, s3 = 0] = await freePorts(3);
  const ports = { api, apps, s3 };
  const alto = new Alto(folder, program, ports, {
    ...settings,
    ALTO_API_PORT: String(ports.api),
    ALTO_APPS_PORT: String(ports.apps),
    ALTO_S3_PORT: String(ports.s3),
    ...ownPorts(),
    ...options.env,
  });
  try {
    await alto.start();
  } catch (error) {
    await alto.stop({ failed: true });
    throw error;
  }
  return alto;
}

export interface NodeOptions {
  readonly name: string;
  /** Ports of its instances: each agent of this machine needs others. */
  readonly ports: string;
  /** More settings of its agent. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Has another agent join, which runs apps alone. @throws Error with what it said when it does not come up. */
export async function startNode(alto: Alto, options: NodeOptions): Promise<AltoMachine> {
  const { program, settings } = await prepareAlto();
  const node = new AltoMachine(dataFolder(), program, {
    ...settings,
    ALTO_NODE_NAME: options.name,
    ALTO_INSTANCE_PORTS: options.ports,
    ...options.env,
  });
  try {
    await node.commandReading(await alto.command('nodes', 'token'), 'join');
  } catch (error) {
    await node.stop({ failed: true });
    throw error;
  }
  return node;
}

export class Alto extends AltoMachine {
  private cachedClient: AltoClient | undefined;

  constructor(
    dataDirectory: string,
    program: string,
    private readonly ports: { readonly api: number; readonly apps: number; readonly s3: number },
    settings: Readonly<Record<string, string>>,
  ) {
    super(dataDirectory, program, settings);
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.ports.api}`;
  }

  get appsUrl(): string {
    return `http://127.0.0.1:${this.ports.apps}`;
  }

  get s3Url(): string {
    return `http://127.0.0.1:${this.ports.s3}`;
  }

  get adminKey(): string {
    return readFileSync(join(this.dataDirectory, 'keys', 'admin.key'), 'utf8').trim();
  }

  /** As the operator. */
  get client(): AltoClient {
    return (this.cachedClient ??= new AltoClient({ baseUrl: this.apiUrl, apiKey: this.adminKey }));
  }

  /** Also after the agent was killed: it finds what it left running. */
  async start(): Promise<void> {
    await this.command('up', '--detach', '--json');
  }

  /** As an update does: the new instance is there before the old one goes. */
  async restart(service: string): Promise<void> {
    await this.command('services', 'restart', service);
  }
}

/** PostgreSQL and apps run as users of their own where the tests run as root. */
function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'alto-'));
  chmodSync(folder, 0o711);
  return folder;
}

/** Builds what has changed, once for a test file. */
export function prepareAlto(): Promise<Prepared> {
  return (prepared ??= prepare());
}

/** In a process of its own: esbuild does not work inside Jest's environment. */
async function prepare(): Promise<Prepared> {
  const { stdout } = await execute(process.execPath, [join(repositoryRoot, 'tools', 'prepare.ts')], {
    maxBuffer: 16 << 20,
  });
  return JSON.parse(stdout) as Prepared;
}

/** Files of tests run side by side: each worker of Jest has ports of its own, in the part that the kernel gives nobody. */
function ownPorts(): Record<string, string> {
  const worker = (Number(process.env['JEST_WORKER_ID'] ?? 1) - 1) % workersMost;
  const first = instancePorts.first + worker * instancePorts.each;
  return {
    ALTO_SERVICE_PORT_FIRST: String(10_000 + worker * 1_000 + Math.floor(Math.random() * 800)),
    ALTO_INSTANCE_PORTS: `${first}-${first + instancePorts.each - 1}`,
  };
}

const workersMost = 4;
const instancePorts = { first: 20_000, each: 2_500 };
