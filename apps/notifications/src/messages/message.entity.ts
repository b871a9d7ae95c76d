import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('messages')
export class MessageEntity {
  /** Id of the topic. */
  @PrimaryColumn('text')
  topic!: string;

  /** 1, 2, 3 … within the topic, in the order of publishing. */
  @PrimaryColumn('bigint')
  sequence!: number;

  @Column('text')
  id!: string;

  /** JSON as text: it comes back exactly as it was sent, which jsonb would not keep. */
  @Column('text')
  body!: string;

  /** Unique within the topic where it is given. */
  @Column('text', { nullable: true })
  dedupeKey!: string | null;

  @Column('timestamptz')
  publishedAt!: Date;
}
