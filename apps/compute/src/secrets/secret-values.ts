/** What revisions and agents are given of secrets: versions, and values as they lie here, sealed. */
import { Injectable } from '@nestjs/common';
import { AltoError, type DesiredInstance } from '@alto/contracts';
import type { EntityManager } from 'typeorm';
import { SecretVersions, unknownSecret } from '../apps/secret-versions';
import { type Pin, SecretsStore } from './secrets.store';

/** All of an app's secrets, sealed: several instances of it fit into what one agent is told. */
const appSecretBytesMax = 262_144;
/** Name, version and punctuation of one secret in an instruction, beside what is sealed. */
const besideSealedBytes = 300;

/** The secrets of one revision, with the project that they belong to. */
export interface Pinned {
  readonly project: string;
  readonly secrets: Readonly<Record<string, number>>;
}

@Injectable()
export class SecretValues extends SecretVersions {
  constructor(private readonly store: SecretsStore) {
    super();
  }

  /** They stay the newest until the transaction ends. */
  async current(
    transaction: EntityManager,
    project: string,
    names: readonly string[],
  ): Promise<Record<string, number>> {
    if (names.length === 0) return {};
    const held = await this.store.hold(transaction, project, names);
    const versions = new Map(held.map(({ name, version }) => [name, version]));
    const missing = names.find((name) => !versions.has(name));
    if (missing !== undefined) throw unknownSecret(missing);
    return Object.fromEntries(versions);
  }

  async instructionBytes(
    transaction: EntityManager,
    app: string,
    versions: Readonly<Record<string, number>>,
  ): Promise<number> {
    const names = Object.keys(versions);
    if (names.length === 0) return 0;
    const sizes = await this.store.sealedSizes(transaction, app, names);
    const bytes = sizes
      .filter(({ name, version }) => versions[name] === version)
      .reduce((sum, { sealedBytes }) => sum + sealedBytes + besideSealedBytes, 0);
    if (bytes <= appSecretBytesMax) return bytes;
    throw new AltoError('unprocessable', {
      message: `secrets: those of one app must be ${appSecretBytesMax} bytes at most when sealed, and are ${bytes}`,
      field: 'secrets',
      nextStep: 'Keep large content in files of the bundle, sealed with a key that is a secret.',
    });
  }

  /**
   * Reads once what many instances need. The values stay sealed: the agent that runs an instance opens them.
   * @returns gives what one instance is sent, in the order of the names
   */
  async sealed(
    manager: EntityManager,
    pinned: Iterable<Pinned>,
  ): Promise<(of: Pinned) => DesiredInstance['secretEnv'] | undefined> {
    const pins = new Map([...pinned].flatMap((each) => pinsOf(each).map((pin) => [keyOf(pin), pin] as const)));
    const rows = pins.size === 0 ? [] : await this.store.sealed(manager, [...pins.values()]);
    const sealed = new Map(rows.map((row) => [keyOf(row), row.sealed]));
    return (each) => {
      const all = pinsOf(each);
      if (all.length === 0) return undefined;
      return all.map((pin) => ({ name: pin.name, version: pin.version, sealed: sealed.get(keyOf(pin)) ?? null }));
    };
  }
}

function pinsOf({ project, secrets }: Pinned): Pin[] {
  return Object.entries(secrets)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, version]) => ({ project, name, version }));
}

/** Neither a project's id nor a secret's name holds a blank. */
function keyOf({ project, name, version }: Pin): string {
  return `${project} ${name} ${version}`;
}
