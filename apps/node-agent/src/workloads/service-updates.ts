/** Changes of Alto's services while they serve: restart, update, the way back and scaling, each of one service alone. */
import { AltoError } from '@alto/contracts';
import type { Log } from '@alto/platform';
import type { ReleaseChoice, Releases, ServiceVersions } from '../first-start';
import type { AgentStateStore } from '../state/agent-state';
import type { Report, StaticWorkloads } from './static-workloads';
import type { StaticManifest, StaticWorkload } from './workload';

export interface ServiceUpdatesOptions {
  statics: StaticWorkloads;
  releases: Releases;
  state: Pick<AgentStateStore, 'current' | 'commit'>;
  /** What would run with these releases; changes nothing. */
  plan: (choice: ReleaseChoice) => Promise<StaticManifest>;
  /** The manifest that holds when first start cannot make one. */
  keepManifest: (manifest: StaticManifest) => Promise<void>;
  log: Log;
}

export class ServiceUpdates {
  constructor(private readonly options: ServiceUpdatesOptions) {}

  /** A build that has come since the last one was taken is what is started. */
  async restart(service: string, report: Report): Promise<void> {
    const { statics, releases } = this.options;
    const version = statics.find(service).release === null ? undefined : await releases.newest(service);
    if (version !== undefined) await releases.markTaken(service, version);
    await this.change(service, version, report);
  }

  /** Runs this version from now on; the one before stays until it is ready, and for good when it does not get ready. */
  async update(service: string, version: string, report: Report): Promise<void> {
    const { releases } = this.options;
    this.requireReleased(service);
    await releases.install(service, version);
    if ((await releases.current(service)) === version) return report(`${service} runs ${version} already`);
    await this.change(service, version, report);
  }

  /** Back to the version that ran before. Done twice it is where it began. */
  async rollback(service: string, report: Report): Promise<void> {
    const { releases } = this.options;
    this.requireReleased(service);
    const version = await releases.previous(service);
    if (version === undefined) {
      throw new AltoError('unprocessable', {
        message: `No version of ${service} ran before this one, or it is no longer installed.`,
        nextStep: `\`alto services versions ${service}\` lists what there is.`,
      });
    }
    await this.change(service, version, report);
  }

  /** Runs so many instances of it from now on. */
  async scale(service: string, instances: number, report: Report): Promise<void> {
    const { statics, state } = this.options;
    this.requireReleased(service);
    // One place stays free, for the instance that replaces another.
    const most = statics.find(service).slots.length - 1;
    if (instances < 1 || instances > most) {
      throw new AltoError('unprocessable', { message: `${service} can have 1 to ${most} instances.`, field: 'to' });
    }
    if (state.current.replacements[service]) throw new AltoError('conflict', `${service} is being updated.`);
    await statics.scale(service, instances, report);
  }

  /** @throws AltoError `not_found` */
  async versions(service: string): Promise<ServiceVersions> {
    this.requireReleased(service);
    return await this.options.releases.list(service);
  }

  /** The pointers of updates whose new run was ready when the agent was killed. Before anything is planned. */
  async repairPointers(): Promise<void> {
    for (const [service, { to, draining }] of Object.entries(this.options.state.current.replacements)) {
      if (to !== null && draining !== null) await this.options.releases.use(service, to);
    }
  }

  /** Goes on with what an agent was killed in. Resolves when the supervisor knows of all that is to run. */
  async resume(): Promise<void> {
    const { log, state } = this.options;
    for (const [service, { to }] of Object.entries(state.current.replacements)) {
      const report = (message: string) => log.info('Going on with an update', { service, message });
      try {
        const target = await this.target(service, to ?? undefined);
        void this.replace(target, report).catch((error: unknown) => log.warn('An update failed', { service, error }));
      } catch (error) {
        log.warn('An update cannot be gone on with; what ran before stays', { service, error });
        await state.commit((current) => delete current.replacements[service]);
      }
    }
  }

  private async change(service: string, version: string | undefined, report: Report): Promise<void> {
    await this.replace(await this.target(service, version), report);
  }

  private async target(service: string, version: string | undefined): Promise<StaticWorkload> {
    const versions = version === undefined ? {} : { [service]: version };
    const { workloads } = await this.options.plan({ keep: true, versions });
    const target = workloads.find(({ id }) => id === service);
    if (!target) throw new AltoError('not_found', `This machine runs no service ${service}.`);
    return target;
  }

  private async replace(target: StaticWorkload, report: Report): Promise<void> {
    const { statics, releases, keepManifest } = this.options;
    await statics.replace(target, report, async () => {
      if (target.release !== null) await releases.use(target.id, target.release.version);
      await keepManifest(statics.applied);
    });
  }

  private requireReleased(service: string): void {
    if (this.options.statics.find(service).release !== null) return;
    throw new AltoError('unprocessable', `${service} is not a service of Alto's own: it has no releases.`);
  }
}
