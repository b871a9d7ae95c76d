import { Entity, PrimaryColumn } from 'typeorm';

/** One row per project: whoever is about to use more of what is limited locks it, so that nobody counts beside them. */
@Entity('project_lock')
export class ProjectLockEntity {
  @PrimaryColumn('text')
  project!: string;
}
