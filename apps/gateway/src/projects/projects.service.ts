import { Injectable } from '@nestjs/common';
import { type InputOf, type Project, gatewayEvents, gatewayOperations, newId } from '@alto/contracts';
import { type CallContext, Clock, Database, Outbox } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import { decodeCursor, pageFrom } from '../http/cursor';
import { unknownProject } from '../identity/principal';
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

  create(input: InputOf<typeof gatewayOperations.projects.create>): Promise<Project> {
    return this.database.transaction((transaction) => this.createIn(transaction, input));
  }

  /** As part of a larger change. */
  async createIn(
    transaction: EntityManager,
    input: InputOf<typeof gatewayOperations.projects.create>,
  ): Promise<Project> {
    const now = this.clock.now();
    const entity = Object.assign(new ProjectEntity(), {
      id: newId('project', now.getTime()),
      name: input.name,
      displayName: input.displayName ?? input.name,
      version: 1,
      createdAt: now,
      updatedAt: now,
    });
    await this.store.insert(transaction, entity);
    const project = toProject(entity);
    await this.outbox.append(transaction, gatewayEvents.projectCreated, {
      project: project.id,
      resource: project.id,
      resourceVersion: project.version,
      data: project,
    });
    return project;
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
