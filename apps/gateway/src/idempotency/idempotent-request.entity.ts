import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A POST with an `Idempotency-Key`: under way while it has no answer. */
@Entity('idempotent_requests')
export class IdempotentRequestEntity {
  /** Hash of what names the request to the service. */
  @PrimaryColumn('text')
  name!: string;

  /** Of operation, input and condition: another one under the same key is refused. */
  @Column('text')
  requestHash!: string;

  /** Who works on it: of several, the last one that took it over. */
  @Column('text')
  attempt!: string;

  @Column('timestamptz')
  at!: Date;

  /** Until then nobody takes it over. */
  @Column('timestamptz')
  busyUntil!: Date;

  /** Sealed: status, headers and body as they were sent. */
  @Column('bytea', { nullable: true })
  answer!: Buffer | null;
}
