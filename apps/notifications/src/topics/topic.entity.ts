import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('topics')
export class TopicEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('text')
  project!: string;

  /** Unique within the project. */
  @Column('text')
  name!: string;

  /** Sequence of the newest message. Whoever publishes locks the row, so sequences have no gaps. */
  @Column('bigint')
  lastSequence!: number;

  @Column('timestamptz')
  createdAt!: Date;
}
