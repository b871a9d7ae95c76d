import { Injectable } from '@nestjs/common';
import { AltoError, type ProjectLimits } from '@alto/contracts';
import { Database, isUniqueViolation } from '@alto/platform';
import { type EntityManager, MoreThan } from 'typeorm';
import { limitsOf, QuotaEntity } from '../quotas/quota.entity';
import { ProjectEntity } from './project.entity';

@Injectable()
export class ProjectsStore {
  constructor(private readonly database: Database) {}

  /** @throws AltoError already_exists when the name is taken. */
  async insert(transaction: EntityManager, project: ProjectEntity): Promise<void> {
    try {
      await transaction.insert(ProjectEntity, project);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new AltoError('already_exists', {
        message: `name: there is a project named ${project.name} already`,
        field: 'name',
        nextStep: 'Choose another name.',
      });
    }
  }

  async find(nameOrId: string): Promise<ProjectEntity | undefined> {
    if (!/^[a-z0-9_-]{1,40}$/.test(nameOrId)) return undefined;
    const where = [{ id: nameOrId }, { name: nameOrId }];
    return (await this.database.manager.findOne(ProjectEntity, { where })) ?? undefined;
  }

  /** What the project may have; undefined where nothing is limited. */
  async limits(projectId: string): Promise<ProjectLimits | undefined> {
    const quota = await this.database.manager.findOneBy(QuotaEntity, { projectId });
    return limitsOf(quota?.limits);
  }

  any(): Promise<boolean> {
    return this.database.manager.exists(ProjectEntity);
  }

  /** In order of creation. */
  page(after: string | undefined, count: number): Promise<ProjectEntity[]> {
    return this.database.manager.find(ProjectEntity, {
      where: after === undefined ? {} : { id: MoreThan(after) },
      order: { id: 'ASC' },
      take: count,
    });
  }
}
