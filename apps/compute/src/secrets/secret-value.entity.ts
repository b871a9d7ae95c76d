import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('secret_value')
export class SecretValueEntity {
  @PrimaryColumn('text')
  secret!: string;

  @PrimaryColumn('integer')
  version!: number;

  /** By the master key, for this project, name and version; see platform's `secrets/`. */
  @Column('text')
  sealed!: string;

  @Column('timestamptz')
  createdAt!: Date;
}
