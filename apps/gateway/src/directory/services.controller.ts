import { Controller } from '@nestjs/common';
import { gatewayOperations, type OutputOf, serviceNames, type ServiceName } from '@alto/contracts';
import { Handles, ServiceDirectory } from '@alto/platform';
import { Routes } from '../routing/routes.service';

const { list } = gatewayOperations.services;
type ServiceStatus = OutputOf<typeof list>['items'][number];

/** What the directory knows of every service. */
@Controller()
export class ServicesController {
  constructor(
    private readonly directory: ServiceDirectory,
    private readonly routes: Routes,
  ) {}

  @Handles(list)
  list(): OutputOf<typeof list> {
    return { items: serviceNames.map((service) => this.statusOf(service)) };
  }

  private statusOf(service: ServiceName): ServiceStatus {
    const instances = this.directory.instances(service).map(({ instance, version, state, startedAt }) => ({
      instance,
      version,
      state,
      since: startedAt.toISOString(),
    }));
    const ready = instances.filter(({ state }) => state === 'ready').length;
    return {
      service,
      state: ready > 0 ? 'available' : 'unavailable',
      versions: [...new Set(instances.map(({ version }) => version))].sort(),
      instances,
      reason: this.reasonOf(service, ready, instances.length),
    };
  }

  private reasonOf(service: ServiceName, ready: number, all: number): string {
    if (ready > 0) return `${ready} of ${all} instances take requests`;
    if (all > 0) return 'every instance is stopping';
    if (this.routes.isKnown(service)) return 'no instance is there now; its operations are answered with 503';
    return 'no instance has announced itself yet';
  }
}
