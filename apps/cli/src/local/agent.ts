/** The node-agent of this machine, by its unix socket. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { CommandError, exitCodes } from '../failure';
import { socketFetch } from './fetch';

const workloadSchema = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.string(),
  state: z.string(),
  reason: z.string().default(''),
  pid: z.number().nullish(),
  ports: z.record(z.string(), z.number()).default({}),
  restarts: z.number().default(0),
  release: z.object({ service: z.string(), version: z.string() }).nullish(),
  startedAt: z.string().nullish(),
});
export type WorkloadStatus = z.output<typeof workloadSchema>;

const statusSchema = z.object({
  agent: z.object({ pid: z.number(), version: z.string(), startedAt: z.string() }),
  phase: z.enum(['first-start', 'starting', 'running', 'stopping', 'failed']),
  failure: z.string().nullish(),
  steps: z.array(z.object({ step: z.string(), message: z.string() })).default([]),
  workloads: z.array(workloadSchema),
  instances: z.array(workloadSchema).default([]),
});
export type AgentStatus = z.output<typeof statusSchema>;

export interface PublicPorts {
  api: number;
  apps: number;
  s3: number;
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

  /** @returns undefined where no agent answers. */
  async status(): Promise<AgentStatus | undefined> {
    if (!existsSync(this.socketPath('agent.sock'))) return undefined;
    try {
      const response = await this.request('GET', '/v1/status', AbortSignal.timeout(5_000));
      return statusSchema.parse(await response.json());
    } catch (error) {
      if (error instanceof z.ZodError)
        throw new CommandError(`The agent's answer was not understood: ${z.prettifyError(error)}`);
      return undefined;
    }
  }

  /** @throws CommandError where no agent answers. */
  async requireStatus(): Promise<AgentStatus> {
    const status = await this.status();
    if (status === undefined) throw notRunning(this.dataDirectory);
    return status;
  }

  async publicPorts(): Promise<PublicPorts | undefined> {
    const status = await this.status().catch(() => undefined);
    const { api, apps, s3 } = status?.workloads.find(({ name }) => name === 'haproxy')?.ports ?? {};
    return api === undefined || apps === undefined || s3 === undefined ? undefined : { api, apps, s3 };
  }

  /** Stops everything in order; `onProgress` gets what is being stopped. Resolves when all has ended. */
  async down(onProgress: (message: string) => void): Promise<void> {
    const response = await this.require('POST', '/v1/down');
    let rest = '';
    for await (const chunk of response.body ?? []) {
      rest += Buffer.from(chunk as Uint8Array).toString('utf8');
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.filter((text) => text !== '')) onProgress(messageOf(line));
    }
  }

  async restart(service: string): Promise<unknown> {
    const response = await this.require('POST', `/v1/services/${encodeURIComponent(service)}/restart`);
    const text = await response.text();
    return text.startsWith('{') ? JSON.parse(text) : { service, message: text.trim() };
  }

  async logs(workload: string, lines: number): Promise<string> {
    const response = await this.require('GET', `/v1/workloads/${encodeURIComponent(workload)}/logs?lines=${lines}`);
    return await response.text();
  }

  private async require(method: string, path: string): Promise<Response> {
    let response: Response;
    try {
      response = await this.request(method, path);
    } catch {
      throw notRunning(this.dataDirectory);
    }
    if (response.ok) return response;
    const problem = (await response.json().catch(() => ({}))) as { detail?: string; nextStep?: string };
    throw new CommandError(problem.detail ?? `The agent answered ${response.status}.`, problem.nextStep);
  }

  private async request(method: string, path: string, signal?: AbortSignal): Promise<Response> {
    return await socketFetch(this.socketPath('agent.sock'))(`http://agent${path}`, { method, signal });
  }
}

function messageOf(line: string): string {
  if (!line.startsWith('{')) return line;
  return (JSON.parse(line) as { message?: string }).message ?? line;
}

function notRunning(dataDirectory: string): CommandError {
  return new CommandError(
    `No Alto runs on this machine with its data in ${dataDirectory}.`,
    'Start it with `alto up`, or name its folder with --data-dir.',
    exitCodes.unavailable,
  );
}
