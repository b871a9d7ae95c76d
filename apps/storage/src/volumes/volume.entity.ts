import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A disk folder with blobs in it. Its id lies in the folder too, in `volume.json`. */
@Entity('volumes')
export class VolumeEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('timestamptz')
  createdAt!: Date;
}

/** An instance that serves a volume at present, renewed while it lives. */
@Entity('volume_servers')
export class VolumeServerEntity {
  @PrimaryColumn('text')
  instance!: string;

  @Column('text')
  volume!: string;

  @Column('timestamptz')
  seenAt!: Date;
}
