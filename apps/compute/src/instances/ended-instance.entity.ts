import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An instance that is gone, for as long as its machine may have kept its log. */
@Entity('ended_instance')
export class EndedInstanceEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  app!: string;

  @Column('text')
  node!: string;

  @Column('timestamptz')
  endedAt!: Date;
}
