/**
 * How the command on this machine talks to the agent: HTTP over a unix socket that its user alone can open.
 * It works while everything else of Alto is down, and before it is up.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { AltoError, toProblem } from '@alto/contracts';
import type { Log } from '@alto/platform';
import type { ServiceVersions } from '../first-start';
import type { Handover } from '../handover';
import type { NodeToken } from '../join';
import type { LogChunk } from '../runtime/runtime';
import type { SandboxStatus } from '../sandbox/level';
import type { WorkloadStatus } from '../workloads/supervisor';

export interface AgentStatus {
  version: string;
  pid: number;
  nodeId: string;
  dataDir: string;
  startedAt: string;
  phase: 'preparing' | 'starting' | 'running' | 'stopping';
  /** How far apps are walled in on this machine. */
  sandbox: SandboxStatus;
  /** Every one of Alto's own processes is ready. */
  ready: boolean;
  /** The last change of the agent's own release. */
  handover: Handover | null;
  /** Steps of the first start so far, and what went wrong in it. */
  progress: { step: string; message: string }[];
  workloads: WorkloadStatus[];
}

type Report = (message: string) => void;

/** Each goes on to its end, whether or not the caller still listens. */
export interface ServiceControl {
  restart(service: string, report: Report): Promise<void>;
  update(service: string, version: string, report: Report): Promise<void>;
  rollback(service: string, report: Report): Promise<void>;
  scale(service: string, instances: number, report: Report): Promise<void>;
  versions(service: string): Promise<ServiceVersions>;
}

/** The keys that seal secrets, in their file on this machine. */
export interface MasterKeyControl {
  /** Adds one, which seals from now on. */
  rotate(): Promise<{ id: string }>;
  /** Takes one away that opens nothing any more. @throws AltoError conflict while it does */
  retire(id: string): Promise<{ id: string }>;
}

/** How other machines get to join. */
export interface NodeControl {
  make(node?: string): Promise<NodeToken>;
}

/** What the socket lets a caller do. */
export interface Control {
  status(): AgentStatus;
  /** Ends all, reporting as it goes. The agent exits once the answer is sent. */
  down(report: Report): Promise<void>;
  readonly services: ServiceControl;
  readonly masterKeys: MasterKeyControl;
  readonly nodes: NodeControl;
  logs(workload: string, options: { lines: number; cursor?: string }): Promise<LogChunk>;
  /** Called after the last line of `down` has been sent. */
  exit(): void;
}

const LINES = { default: 100, max: 1_000 };

export class ControlServer {
  private readonly server: Server;

  constructor(
    private readonly path: string,
    private readonly control: Control,
    private readonly log: Log,
  ) {
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  /** The caller holds the agent's lock, so a socket that is there was left by an agent that is gone. */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o711 });
    rmSync(this.path, { force: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.server.once('error', reject);
    // Nobody else may connect, not even between listening and a change of mode.
    const umask = process.umask(0o177);
    this.server.listen(this.path, resolve);
    process.umask(umask);
    await promise;
    chmodSync(this.path, 0o600);
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.server.close(() => resolve());
    this.server.closeIdleConnections();
    await promise;
    rmSync(this.path, { force: true });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    try {
      await this.route(request, response);
    } catch (error) {
      const failure = this.asAltoError(error);
      if (response.headersSent) response.end(`${JSON.stringify({ error: toProblem(failure) })}\n`);
      else send(response, failure.status, toProblem(failure), 'application/problem+json');
    }
  }

  private async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://agent');
    const [version, noun, name, verb] = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const operation = `${request.method} /${[version, noun, name && '*', verb].filter(Boolean).join('/')}`;
    switch (operation) {
      case 'GET /v1/status':
        return send(response, 200, this.control.status());
      case 'POST /v1/down':
        await stream(response, (report) => this.control.down(report));
        return this.control.exit();
      case 'POST /v1/services/*/restart':
        return stream(response, (report) => this.control.services.restart(name ?? '', report));
      case 'POST /v1/services/*/update':
        return stream(response, (report) => this.control.services.update(name ?? '', wantedVersion(url), report));
      case 'POST /v1/services/*/rollback':
        return stream(response, (report) => this.control.services.rollback(name ?? '', report));
      case 'POST /v1/services/*/scale':
        return stream(response, (report) => this.control.services.scale(name ?? '', wantedInstances(url), report));
      case 'GET /v1/services/*/versions':
        return send(response, 200, await this.control.services.versions(name ?? ''));
      case 'POST /v1/master-keys':
        return send(response, 200, await this.control.masterKeys.rotate());
      case 'DELETE /v1/master-keys/*':
        return send(response, 200, await this.control.masterKeys.retire(name ?? ''));
      case 'POST /v1/tokens':
        return send(response, 200, await this.control.nodes.make(url.searchParams.get('node') ?? undefined));
      case 'GET /v1/workloads/*/logs':
        return send(response, 200, await this.control.logs(name ?? '', logOptions(url.searchParams)));
      default:
        throw new AltoError('not_found', `The agent does not know ${request.method} ${url.pathname}.`);
    }
  }

  private asAltoError(error: unknown): AltoError {
    if (error instanceof AltoError) return error;
    this.log.error('A local command failed', { error });
    return new AltoError('internal', error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** One JSON object a line as it happens; the last one says how it ended. */
async function stream(response: ServerResponse, action: (report: Report) => Promise<void>): Promise<void> {
  const report = (message: string) => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.write(`${JSON.stringify({ message })}\n`);
  };
  await action(report);
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('close', resolve);
  response.end(`${JSON.stringify({ done: true })}\n`, resolve);
  await promise;
}

function send(response: ServerResponse, status: number, body: unknown, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type, connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}

function wantedVersion({ searchParams }: URL): string {
  const version = searchParams.get('to');
  if (version) return version;
  throw new AltoError('invalid_request', { message: 'to must name a version', field: 'to' });
}

function wantedInstances({ searchParams }: URL): number {
  const instances = Number(searchParams.get('to') ?? NaN);
  if (Number.isInteger(instances)) return instances;
  throw new AltoError('invalid_request', { message: 'to must be a number of instances', field: 'to' });
}

function logOptions(query: URLSearchParams): { lines: number; cursor?: string } {
  const lines = Number(query.get('lines') ?? LINES.default);
  if (!Number.isInteger(lines) || lines < 1 || lines > LINES.max) {
    throw new AltoError('invalid_request', { message: `lines must be 1 to ${LINES.max}`, field: 'lines' });
  }
  const cursor = query.get('cursor');
  return cursor === null ? { lines } : { lines, cursor };
}
