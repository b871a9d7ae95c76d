import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A secret that presigned addresses are signed with; all instances use the newest. */
@Entity('signing_keys')
export class SigningKeyEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('bytea')
  secret!: Buffer;

  @Column('timestamptz')
  createdAt!: Date;
}
