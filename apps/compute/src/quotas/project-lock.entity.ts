import { Entity, PrimaryColumn } from 'typeorm';

/** One row per project with limits: whoever is about to use more of them locks it, so that nobody counts beside them. */
@Entity('project_lock')
export class ProjectLockEntity {
  @PrimaryColumn('text')
  project!: string;
}
