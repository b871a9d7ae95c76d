/** All services of a machine, the agent among them, for those who change one by its name. */
import { AltoError } from '@alto/contracts';
import type { ServiceVersions } from '../first-start';
import type { ServiceUpdates } from '../workloads/service-updates';
import type { Report } from '../workloads/static-workloads';
import { type AgentHandover, agentService } from './agent-handover';

export class MachineServices {
  constructor(
    private readonly updates: ServiceUpdates,
    private readonly agent: AgentHandover,
  ) {}

  async restart(service: string, report: Report): Promise<void> {
    await (service === agentService ? this.agent.restart(report) : this.updates.restart(service, report));
  }

  async update(service: string, version: string, report: Report): Promise<void> {
    const isAgent = service === agentService;
    await (isAgent ? this.agent.update(version, report) : this.updates.update(service, version, report));
  }

  async rollback(service: string, report: Report): Promise<void> {
    await (service === agentService ? this.agent.rollback(report) : this.updates.rollback(service, report));
  }

  async scale(service: string, instances: number, report: Report): Promise<void> {
    if (service === agentService) throw new AltoError('unprocessable', 'A machine has one agent.');
    await this.updates.scale(service, instances, report);
  }

  async versions(service: string): Promise<ServiceVersions> {
    return await (service === agentService ? this.agent.versions() : this.updates.versions(service));
  }
}
