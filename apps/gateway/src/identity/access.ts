import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '@alto/contracts';
import { CONFIG } from '@alto/platform';
import type { GatewayConfig } from '../config';
import { ProjectsService } from '../projects/projects.service';
import { patienceMs } from './authenticator';
import { FreshCache } from './fresh-cache';
import { callerOf, ownProject, type Principal, type ProjectName, requirePermission, unknownProject } from './principal';

const projectsMax = 10_000;

/** Decides whether a caller may do what it asks, and in which project. */
@Injectable()
export class Access {
  private readonly projects: FreshCache<ProjectName>;

  constructor(@Inject(CONFIG) config: GatewayConfig, projects: ProjectsService) {
    this.projects = new FreshCache({
      load: (nameOrId) => projects.find(nameOrId),
      freshMs: config.ALTO_KEY_CACHE_MS,
      staleMs: config.ALTO_KEY_STALE_MS,
      patienceMs,
      entriesMax: projectsMax,
    });
  }

  /**
   * @param project as the path names it; undefined for an operation that is not about one project.
   * @throws AltoError not_found for a project that the key may not enter, whether there is such a one or not; forbidden.
   */
  async grant(principal: Principal, permission: string, project: string | undefined): Promise<Caller> {
    const entered = project === undefined ? principal.project : await this.enter(principal, project);
    requirePermission(principal, permission);
    return callerOf(principal, entered);
  }

  private async enter(principal: Principal, nameOrId: string): Promise<ProjectName> {
    if (principal.project) return ownProject(principal, nameOrId);
    const found = await this.projects.get(nameOrId);
    if (!found) throw unknownProject();
    return { id: found.id, name: found.name, quotas: found.quotas };
  }
}
