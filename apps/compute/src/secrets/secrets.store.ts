import { Injectable } from '@nestjs/common';
import { type EntityManager, In, MoreThan, Not } from 'typeorm';
import { SecretValueEntity } from './secret-value.entity';
import { SecretEntity } from './secret.entity';

/** One value of one secret. */
export interface Pin {
  readonly project: string;
  readonly name: string;
  readonly version: number;
}

export interface ValueAddress {
  /** Id of the secret. */
  readonly secret: string;
  readonly version: number;
}

export interface SealedValue extends ValueAddress, Pin {
  readonly sealed: string;
}

/** Which version an app's revision was made with. */
export interface Use {
  readonly app: string;
  readonly version: number;
  /** The app should run it, may fall back to it, or still has instances of it. */
  readonly inUse: boolean;
  /** Names of lost nodes that have instances of it. */
  readonly lostNodes: readonly string[];
}

@Injectable()
export class SecretsStore {
  find(manager: EntityManager, project: string, name: string): Promise<SecretEntity | null> {
    return manager.findOneBy(SecretEntity, { project, name, deleted: false });
  }

  page(manager: EntityManager, project: string, after: string | undefined, take: number): Promise<SecretEntity[]> {
    const where = { project, deleted: false, ...(after !== undefined && { name: MoreThan(after) }) };
    return manager.find(SecretEntity, { where, order: { name: 'ASC' }, take });
  }

  count(manager: EntityManager, project: string): Promise<number> {
    return manager.countBy(SecretEntity, { project, deleted: false });
  }

  /** Locks the secret for a change; a deleted one too. */
  lock(transaction: EntityManager, project: string, name: string): Promise<SecretEntity | null> {
    return transaction.findOne(SecretEntity, { where: { project, name }, lock: { mode: 'pessimistic_write' } });
  }

  /** Keeps the secrets as they are until the transaction ends. In order of their names, as everyone locks them. */
  hold(transaction: EntityManager, project: string, names: readonly string[]): Promise<SecretEntity[]> {
    return transaction.find(SecretEntity, {
      where: { project, name: In([...names]), deleted: false },
      order: { name: 'ASC' },
      lock: { mode: 'pessimistic_read' },
    });
  }

  /** Changes nothing where there is one of that name. */
  async insert(transaction: EntityManager, secret: SecretEntity): Promise<void> {
    await transaction.createQueryBuilder().insert().into(SecretEntity).values(secret).orIgnore().execute();
  }

  async save(transaction: EntityManager, secret: SecretEntity): Promise<void> {
    const { id, ...columns } = secret;
    await transaction.update(SecretEntity, { id }, columns);
  }

  async remove(transaction: EntityManager, id: string): Promise<void> {
    await transaction.delete(SecretEntity, { id });
  }

  value(manager: EntityManager, secret: string, version: number): Promise<SecretValueEntity | null> {
    return manager.findOneBy(SecretValueEntity, { secret, version });
  }

  async addValue(transaction: EntityManager, value: SecretValueEntity): Promise<void> {
    await transaction.insert(SecretValueEntity, value);
  }

  async removeValuesBut(transaction: EntityManager, secret: string, versions: readonly number[]): Promise<void> {
    await transaction.delete(SecretValueEntity, { secret, version: Not(In([...versions])) });
  }

  async removeValues(transaction: EntityManager, secret: string): Promise<void> {
    await transaction.delete(SecretValueEntity, { secret });
  }

  /** Number of values by the key that opens them. */
  async valuesByKey(manager: EntityManager): Promise<Map<string, number>> {
    const rows = await manager.query<{ key: string; count: number }[]>(
      `SELECT split_part(sealed, '.', 2) AS key, count(*)::integer AS count FROM secret_value GROUP BY 1`,
    );
    return new Map(rows.map(({ key, count }) => [key, count]));
  }

  /** Values that these keys open, after that one in order, locked until the transaction ends, with where they belong. */
  lockSealedBy(
    transaction: EntityManager,
    keys: readonly string[],
    after: ValueAddress,
    take: number,
  ): Promise<SealedValue[]> {
    return transaction.query(
      `SELECT secret_value.secret, secret_value.version, secret_value.sealed, secret.project, secret.name
         FROM secret_value JOIN secret ON secret.id = secret_value.secret
        WHERE split_part(secret_value.sealed, '.', 2) = ANY($1::text[])
          AND (secret_value.secret, secret_value.version) > ($2, $3)
        ORDER BY secret_value.secret, secret_value.version
        LIMIT $4 FOR UPDATE OF secret_value`,
      [keys, after.secret, after.version, take],
    );
  }

  async reseal(transaction: EntityManager, { secret, version }: ValueAddress, sealed: string): Promise<void> {
    await transaction.update(SecretValueEntity, { secret, version }, { sealed });
  }

  /** The sealed values of these versions, those that exist. */
  sealed(manager: EntityManager, pins: readonly Pin[]): Promise<(Pin & { readonly sealed: string })[]> {
    return manager.query(
      `SELECT secret.project, secret.name, secret_value.version, secret_value.sealed
         FROM unnest($1::text[], $2::text[], $3::integer[]) AS pin (project, name, version)
         JOIN secret ON secret.project = pin.project AND secret.name = pin.name
         JOIN secret_value ON secret_value.secret = secret.id AND secret_value.version = pin.version`,
      [pins.map(({ project }) => project), pins.map(({ name }) => name), pins.map(({ version }) => version)],
    );
  }

  /** How large the values are that the app's project has of these names. */
  sealedSizes(
    manager: EntityManager,
    app: string,
    names: readonly string[],
  ): Promise<{ name: string; version: number; sealedBytes: number }[]> {
    return manager.query(
      `SELECT secret.name, secret_value.version, length(secret_value.sealed) AS "sealedBytes"
         FROM app
         JOIN secret ON secret.project = app.project
         JOIN secret_value ON secret_value.secret = secret.id
        WHERE app.id = $1 AND secret.name = ANY($2::text[])`,
      [app, names],
    );
  }

  /** All revisions of the project's apps that name the secret. */
  uses(manager: EntityManager, project: string, name: string): Promise<Use[]> {
    return manager.query(
      `SELECT app.name AS app, (revision.stamp->'secrets'->>$2)::integer AS version,
              revision.id = app.revision OR revision.id IS NOT DISTINCT FROM app.good_revision
                OR EXISTS (SELECT 1 FROM instance WHERE instance.revision = revision.id) AS "inUse",
              ARRAY(SELECT DISTINCT node.name FROM instance JOIN node ON node.id = instance.node
                     WHERE instance.revision = revision.id AND node.state = 'lost' ORDER BY 1) AS "lostNodes"
         FROM revision JOIN app ON app.id = revision.app
        WHERE app.project = $1 AND revision.stamp->'secrets'->>$2 IS NOT NULL
        ORDER BY app.name`,
      [project, name],
    );
  }
}
