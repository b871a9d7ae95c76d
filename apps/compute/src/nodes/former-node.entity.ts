import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../columns';

/**
 * A node that was deleted. Its agent may still have the set that it was last told, and refuses one that is older:
 * should it come back, it is told a newer one.
 */
@Entity('former_node')
export class FormerNodeEntity {
  @PrimaryColumn('text')
  id!: string;

  @Column('bigint', { transformer: bigintAsNumber })
  generation!: number;

  @Column('bigint', { transformer: bigintAsNumber })
  fencing!: number;

  /** Events of the node go on from it. */
  @Column('integer')
  version!: number;
}
