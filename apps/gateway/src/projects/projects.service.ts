import { Injectable } from '@nestjs/common';
import { type InputOf, type Project, AltoError, gatewayEvents, gatewayOperations, newId } from '@alto/contracts';
import { type CallContext, Clock, Database, Outbox } from '@alto/platform';
import { decodeCursor, pageFrom } from '../http/cursor';
import { type ProjectName, unknownProject } from '../identity/principal';
import { ProjectEntity } from './project.entity';
import { ProjectsStore } from './projects.store';

const LIST = 'projects';

@Injectable()
export class ProjectsService {
  constructor(
    private readonly database: Database,
    private readonly store: ProjectsStore,
    private readonly outbox: Outbox,
    private readonly clock: Clock,
  ) {}

  async create(input: InputOf<typeof gatewayOperations.projects.create>): Promise<Project> {
    const now = this.clock.now();
    const entity = Object.assign(new ProjectEntity(), {
      id: newId('project', now.getTime()),
      name: input.name,
      displayName: input.displayName ?? input.name,
      version: 1,
      createdAt: now,
      updatedAt: now,
    });
    const project = toProject(entity);
    await this.database.transaction(async (transaction) => {
      await this.store.insert(transaction, entity);
      await this.outbox.append(transaction, gatewayEvents.projectCreated, {
        project: project.id,
        resource: project.id,
        resourceVersion: project.version,
        data: project,
      });
    });
    return project;
  }

  /** Makes a first project where there is none. @returns whether it did; another gateway may have been first. */
  async ensureAny(name: string): Promise<boolean> {
    if (await this.store.any()) return false;
    try {
      await this.create({ name });
      return true;
    } catch (error) {
      if (error instanceof AltoError && error.code === 'already_exists') return false;
      throw error;
    }
  }

  /** @returns id, name and what it may have; undefined for an unknown one */
  async find(nameOrId: string): Promise<ProjectName | undefined> {
    const project = await this.store.find(nameOrId);
    return project && { id: project.id, name: project.name, quotas: await this.store.limits(project.id) };
  }

  async get(nameOrId: string): Promise<Project> {
    const entity = await this.store.find(nameOrId);
    if (!entity) throw unknownProject();
    return toProject(entity);
  }

  /** An operator sees every project; any other key its own. */
  async list(
    input: InputOf<typeof gatewayOperations.projects.list>,
    { caller }: Pick<CallContext, 'caller'>,
  ): Promise<{ items: Project[]; nextCursor?: string }> {
    const after = decodeCursor(LIST, input.cursor);
    if (caller.role !== 'operator') {
      const own = caller.project === null ? undefined : await this.store.find(caller.project);
      return { items: own && !after ? [toProject(own)] : [] };
    }
    const rows = await this.store.page(after, input.limit + 1);
    return pageFrom(LIST, rows, input.limit, (row) => row.id, toProject);
  }
}

function toProject(entity: ProjectEntity): Project {
  const { id, name, displayName, version, createdAt, updatedAt } = entity;
  return { id, name, displayName, version, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
