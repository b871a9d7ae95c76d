import type { ProjectLimits } from '@alto/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A project without a row has no limits. */
@Entity({ name: 'project_quotas' })
export class QuotaEntity {
  @PrimaryColumn('text')
  projectId!: string;

  @Column('jsonb')
  limits!: ProjectLimits;

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  updatedAt!: Date;
}

/** Undefined where nothing is limited. */
export function limitsOf(limits: ProjectLimits | null | undefined): ProjectLimits | undefined {
  return limits && Object.keys(limits).length > 0 ? limits : undefined;
}
