import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Role } from '@alto/contracts';

@Entity({ name: 'api_keys' })
export class KeyEntity {
  @PrimaryColumn('text')
  id!: string;

  /** Null for a key of the whole cluster. */
  @Column('text', { nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  /** `nats`: credentials for NATS, which sign in nowhere else: their hash is empty. */
  @Column('text')
  kind!: 'api' | 'nats';

  /** Public nkey of such credentials; the seed is kept nowhere. */
  @Column('text', { nullable: true })
  natsUser!: string | null;

  @Column('text')
  role!: Role;

  /** SHA-256 of the whole key in hex; the key itself is kept nowhere. */
  @Column('text')
  hash!: string;

  @Column('integer')
  version!: number;

  @Column('timestamptz')
  createdAt!: Date;

  /** Coarse: written at most once a minute for each key, outside the version. */
  @Column('timestamptz', { nullable: true })
  lastUsedAt!: Date | null;

  @Column('timestamptz', { nullable: true })
  revokedAt!: Date | null;

  @Column('timestamptz', { nullable: true })
  expiresAt!: Date | null;

  /** What the key is narrowed to; null for all that its role may. */
  @Column('jsonb', { nullable: true })
  scopes!: string[] | null;

  /** Hash of the secret before the last rotation. */
  @Column('text', { nullable: true })
  previousHash!: string | null;

  @Column('timestamptz', { nullable: true })
  previousValidUntil!: Date | null;
}
