/** Another release of the agent itself: what runs is left alone, the new agent adopts it, or the old one is back. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AltoError } from '@alto/contracts';
import type { Releases, ServiceVersions } from '../first-start';
import { installScript } from '../runtime/process/shim';
import type { Report } from '../workloads/static-workloads';
import { handoverScript } from './handover-script';

export const agentService = 'node-agent';

/** How long a new agent may take to be at work before the old one is started again. */
const takeOverWithinS = 60;
/** An agent that does not get itself to end is ended: what it runs does not need it. */
const leaveWithinMs = 20_000;

export interface AgentHandoverOptions {
  releases: Releases;
  /** Folder of the releases. */
  installed: string;
  version: string;
  /** `run/handover`. */
  record: string;
  /** Where the script is put. */
  scripts: string;
  /** Whether this agent was started by `alto`, and not by somebody who looks after its process. */
  isOwnMaster: boolean;
  /** Ends this agent alone; resolves never, or when it is too late to matter. */
  leave: () => void;
}

export interface Handover {
  state: string;
  version: string;
  /** Process of the script that hands over. */
  script: string;
}

export class AgentHandover {
  constructor(private readonly options: AgentHandoverOptions) {}

  /** How far the last one is: `starting`, then `ready`, or `failed` where the agent before is back. */
  get last(): Handover | null {
    try {
      const [state = '', version = '', script = ''] = readFileSync(this.options.record, 'utf8').trim().split(' ');
      return { state, version, script };
    } catch {
      return null; // nothing was handed over
    }
  }

  /** Called once this agent is at work: from now on its release is the one that is started. */
  async atWork(): Promise<void> {
    const { releases, version } = this.options;
    const { last } = this;
    if (last?.state === 'starting' && last.version === version) {
      await releases.use(agentService, version);
      this.note(`ready ${version} ${last.script}`);
    } else {
      await releases.takeOver(agentService, version);
    }
  }

  /** By a newer build where there is one, else by the same release. */
  async restart(report: Report): Promise<void> {
    const { releases, version } = this.options;
    const newest = (await releases.newest(agentService)) ?? version;
    await releases.markTaken(agentService, newest);
    await this.handOver(newest, report);
  }

  async update(version: string, report: Report): Promise<void> {
    await this.options.releases.install(agentService, version);
    if (version === this.options.version) return report(`${agentService} runs ${version} already`);
    await this.handOver(version, report);
  }

  async rollback(report: Report): Promise<void> {
    const version = await this.options.releases.previous(agentService);
    if (version === undefined) {
      throw new AltoError('unprocessable', {
        message: `No version of ${agentService} ran before this one, or it is no longer installed.`,
        nextStep: `\`alto services versions ${agentService}\` lists what there is.`,
      });
    }
    await this.handOver(version, report);
  }

  async versions(): Promise<ServiceVersions> {
    return await this.options.releases.list(agentService);
  }

  private async handOver(version: string, report: Report): Promise<void> {
    const { installed, record, scripts, version: own, isOwnMaster, leave } = this.options;
    const main = join(installed, agentService, version, 'main.mjs');
    if (!isOwnMaster) {
      throw new AltoError('unprocessable', {
        message: 'This agent was started by somebody else than `alto up`, and would not be started again by them.',
        nextStep: 'Change its version where it is started: in its container image, say, or in its unit of systemd.',
      });
    }
    if (!existsSync(main)) throw new AltoError('not_found', `Version ${version} of ${agentService} is not installed.`);
    const script = await installScript(scripts, 'handover', handoverScript);
    const oldMain = process.argv[1] ?? main;
    const command = [process.execPath, ...process.execArgv];
    const next = [script, record, String(takeOverWithinS), version, main, own, oldMain, ...command];
    const child = spawn('/bin/sh', next, { stdio: ['pipe', 'inherit', 'inherit'], detached: true });
    child.unref();
    report(
      `Handing over to ${version === own ? 'another process' : version}; this one comes back unless that gets to work`,
    );
    // The script waits for the end of its input, and this process alone holds that.
    setTimeout(() => process.exit(1), leaveWithinMs).unref();
    leave();
  }

  private note(state: string): void {
    const { record } = this.options;
    writeFileSync(`${record}.new`, `${state}\n`, { mode: 0o600 });
    renameSync(`${record}.new`, record);
  }
}
