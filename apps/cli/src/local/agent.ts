/** The node-agent of this machine, by its unix socket. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { fromProblem } from '@alto/contracts';
import { z } from 'zod';
import { CommandError, exitCodes } from '../failure';
import { socketFetch } from './fetch';

const workloadSchema = z.looseObject({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  want: z.enum(['running', 'stopped']),
  phase: z.string(),
  reason: z.string(),
  pid: z.number().nullable(),
  startedAtMs: z.number().nullable(),
  restarts: z.number(),
  ports: z.record(z.string(), z.number()),
  release: z.object({ service: z.string(), version: z.string() }).nullable(),
});
export type WorkloadStatus = z.output<typeof workloadSchema>;

const statusSchema = z.looseObject({
  version: z.string(),
  pid: z.number(),
  nodeId: z.string(),
  startedAt: z.string(),
  /** How far apps are walled in; agents from before do not say. */
  sandbox: z
    .object({
      level: z.string(),
      reason: z.string().nullable(),
      /** Why no app is started and what to do. */
      refusal: z.string().nullable().default(null),
      unbounded: z.array(z.string()),
    })
    .optional(),
  phase: z.enum(['preparing', 'starting', 'running', 'stopping']),
  /** The last change of the agent's own release. */
  handover: z.object({ state: z.string(), version: z.string() }).nullish().default(null),
  progress: z.array(z.object({ step: z.string(), message: z.string() })),
  workloads: z.array(workloadSchema),
});
export type AgentStatus = z.output<typeof statusSchema>;

/** Alto's own processes. */
export function ownWorkloads({ workloads }: AgentStatus): WorkloadStatus[] {
  return workloads.filter(({ kind }) => kind !== 'instance');
}

/** Instances of apps on this machine. */
export function appInstances({ workloads }: AgentStatus): WorkloadStatus[] {
  return workloads.filter(({ kind }) => kind === 'instance');
}

/** It does what is asked of it: serves, has done its one task, or rests until it is needed. */
export function isWell({ want, phase }: WorkloadStatus): boolean {
  return want === 'running' ? phase === 'ready' || phase === 'completed' : phase === 'exited';
}

const logsSchema = z.object({ lines: z.array(z.looseObject({ text: z.string() })), cursor: z.string() });
export type WorkloadLogs = z.output<typeof logsSchema>;

const masterKeySchema = z.object({ id: z.string() });

const versionsSchema = z.looseObject({
  current: z.string().nullable(),
  previous: z.string().nullable(),
  versions: z.array(z.object({ version: z.string(), state: z.string() })),
});
export type ServiceVersions = z.output<typeof versionsSchema>;

const nodeTokenSchema = z.object({ node: z.string(), token: z.string(), natsUrl: z.string() });
export type NodeToken = z.output<typeof nodeTokenSchema>;

export interface PublicPorts {
  api: number;
  apps: number;
  s3: number;
}

export class NoAgentError extends CommandError {
  constructor(dataDirectory: string) {
    super(
      `No Alto runs on this machine with its data in ${dataDirectory}.`,
      'Start it with `alto up`, or name its folder with --data-dir.',
      exitCodes.unavailable,
    );
  }
}

/** Where the agent makes its sockets: in `run/`, or where that path is too long for a socket in a short folder. */
const socketPathBytesMax = 100;

export class LocalAgent {
  constructor(readonly dataDirectory: string) {}

  socketPath(name: string): string {
    const direct = join(this.dataDirectory, 'run', name);
    if (Buffer.byteLength(direct) <= socketPathBytesMax) return direct;
    const hash = createHash('sha256').update(this.dataDirectory).digest('hex').slice(0, 12);
    return join(tmpdir(), `alto-${hash}`, name);
  }

  /** Of every gateway on this machine, also of some that are gone. */
  gatewaySockets(): string[] {
    const folder = dirname(this.socketPath('gateway-0.sock'));
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.filter((name) => /^gateway-\d+\.sock$/.test(name)).map((name) => join(folder, name));
  }

  /** @returns undefined where no agent answers. */
  async status(): Promise<AgentStatus | undefined> {
    if (!existsSync(this.socketPath('agent.sock'))) return undefined;
    try {
      const response = await this.request('GET', '/v1/status', AbortSignal.timeout(5_000));
      return statusSchema.parse(await response.json());
    } catch (error) {
      if (error instanceof z.ZodError)
        throw new CommandError(
          `The agent's answer was not understood: ${z.prettifyError(error)}`,
          'Command and agent are of different versions: use the command of the Alto that runs.',
        );
      return undefined;
    }
  }

  /** @throws CommandError where no agent answers. */
  async requireStatus(): Promise<AgentStatus> {
    const status = await this.status();
    if (status === undefined) throw new NoAgentError(this.dataDirectory);
    return status;
  }

  async publicPorts(): Promise<PublicPorts | undefined> {
    const status = await this.status().catch(() => undefined);
    const { api, apps, s3 } = status?.workloads.find(({ name }) => name === 'haproxy')?.ports ?? {};
    return api === undefined || apps === undefined || s3 === undefined ? undefined : { api, apps, s3 };
  }

  /** Stops everything in order; `onProgress` gets what is being stopped. Resolves when all has ended. */
  async down(onProgress: (message: string) => void): Promise<void> {
    await this.stream('/v1/down', onProgress);
  }

  /** Replaces the instances of a service one by one. */
  async restart(service: string, onProgress: (message: string) => void): Promise<void> {
    await this.stream(`/v1/services/${encodeURIComponent(service)}/restart`, onProgress);
  }

  /** Runs another version of a service. The old one goes when the new one is ready. */
  async update(service: string, version: string, onProgress: (message: string) => void): Promise<void> {
    await this.stream(
      `/v1/services/${encodeURIComponent(service)}/update?to=${encodeURIComponent(version)}`,
      onProgress,
    );
  }

  /** Back to the version that ran before. */
  async rollback(service: string, onProgress: (message: string) => void): Promise<void> {
    await this.stream(`/v1/services/${encodeURIComponent(service)}/rollback`, onProgress);
  }

  /** Runs so many instances of it from now on. */
  async scale(service: string, instances: number, onProgress: (message: string) => void): Promise<void> {
    await this.stream(`/v1/services/${encodeURIComponent(service)}/scale?to=${instances}`, onProgress);
  }

  async versions(service: string): Promise<ServiceVersions> {
    const response = await this.require('GET', `/v1/services/${encodeURIComponent(service)}/versions`);
    return versionsSchema.parse(await response.json());
  }

  /** Adds a key that seals secrets from now on. @returns its id */
  async rotateMasterKey(): Promise<string> {
    return masterKeySchema.parse(await (await this.require('POST', '/v1/master-keys')).json()).id;
  }

  /** Takes a key away; refused while anything needs it. */
  async retireMasterKey(id: string): Promise<void> {
    await this.require('DELETE', `/v1/master-keys/${encodeURIComponent(id)}`);
  }

  /** Lets another machine join. @param node that has joined before, to get its credentials anew */
  async nodeToken(node: string | undefined): Promise<NodeToken> {
    const query = node === undefined ? '' : `?node=${encodeURIComponent(node)}`;
    return nodeTokenSchema.parse(await (await this.require('POST', `/v1/tokens${query}`)).json());
  }

  /** @param cursor of the page before, to get what was written since; unless given, the last lines */
  async logs(workload: string, lines: number, cursor?: string): Promise<WorkloadLogs> {
    const query = new URLSearchParams({ lines: String(lines), ...(cursor !== undefined && { cursor }) });
    const response = await this.require('GET', `/v1/workloads/${encodeURIComponent(workload)}/logs?${query}`);
    return logsSchema.parse(await response.json());
  }

  /** The agent reports in one JSON object a line; the last says `done`, or what went wrong. */
  private async stream(path: string, onProgress: (message: string) => void): Promise<void> {
    const response = await this.require('POST', path);
    const lines = createInterface({ input: Readable.fromWeb(response.body as never), crlfDelay: Infinity });
    for await (const line of lines) {
      const { message, done, error } = JSON.parse(line) as { message?: string; done?: boolean; error?: unknown };
      if (error !== undefined) throw fromProblem(error);
      if (done === true) return;
      if (message !== undefined) onProgress(message);
    }
    throw new CommandError(
      'The agent has ended before it was done.',
      '`alto status` and `alto doctor` say what is left.',
    );
  }

  private async require(method: string, path: string): Promise<Response> {
    let response: Response;
    try {
      response = await this.request(method, path);
    } catch {
      throw new NoAgentError(this.dataDirectory);
    }
    if (response.ok) return response;
    throw fromProblem(await response.json().catch(() => undefined));
  }

  private async request(method: string, path: string, signal?: AbortSignal): Promise<Response> {
    return await socketFetch(this.socketPath('agent.sock'))(`http://agent${path}`, { method, signal });
  }
}
