/**
 * The master keys of this machine: what it tells compute of them, and how one is added and taken away. They lie in one
 * file, which compute on the same machine reads as well.
 */
import { AltoError, type DesiredInstance, masterKeyOperations } from '@alto/contracts';
import {
  addMasterKey,
  type AltoClient,
  keyIdOf,
  MasterKeys,
  MasterKeysError,
  removeMasterKey,
  SealingError,
} from '@alto/platform';

export interface MachineKeysOptions {
  readonly file: string;
  /** Undefined until the agent is on the bus. */
  readonly compute: () => Pick<AltoClient, 'call'> | undefined;
  /** As they lie on the disk. */
  readonly instances: () => readonly Pick<DesiredInstance, 'secretEnv'>[];
}

export class MachineKeys {
  constructor(private readonly options: MachineKeysOptions) {}

  get file(): string {
    return this.options.file;
  }

  /** Ids of the keys that this machine has, and of those without which it could not start what it has on its disk. */
  describe(): { masterKeys?: string[]; sealedWith: string[] } {
    const sealed = this.options
      .instances()
      .flatMap(({ secretEnv = [] }) => secretEnv.flatMap((one) => one.sealed ?? []));
    const masterKeys = this.held();
    return { ...(masterKeys !== undefined && { masterKeys }), sealedWith: [...new Set(sealed.flatMap(keyOf))] };
  }

  /** Works while compute is away: it takes the key up when it is back. */
  rotate(): Promise<{ id: string }> {
    return said(() => addMasterKey(this.file));
  }

  /** @throws AltoError not_found; conflict while anything needs it; service_unavailable when nobody can say */
  async retire(id: string): Promise<{ id: string }> {
    const compute = this.options.compute();
    if (compute === undefined)
      throw new AltoError('service_unavailable', 'The agent is not in touch with compute yet.');
    const { items } = await compute.call(masterKeyOperations.inspect, {});
    const key = items.find((one) => one.id === id);
    if (key === undefined || key.state === 'missing')
      throw new AltoError('not_found', {
        message: `There is no master key ${id}.`,
        nextStep: 'See `alto master-key status`.',
      });
    if (key.inUse) {
      throw new AltoError('conflict', {
        message: `Master key ${id} cannot be retired: ${key.reason}.`,
        nextStep: 'Wait until `alto master-key status` says that nothing needs it.',
      });
    }
    return said(() => removeMasterKey(this.file, id));
  }

  private held(): string[] | undefined {
    try {
      return [...MasterKeys.fromFile(this.file).ids];
    } catch (error) {
      if (error instanceof MasterKeysError) return undefined;
      throw error;
    }
  }
}

/** What nobody can read is no reason to stop reporting; starting it says what is wrong. */
function keyOf(sealed: string): string[] {
  try {
    return [keyIdOf(sealed)];
  } catch (error) {
    if (error instanceof SealingError) return [];
    throw error;
  }
}

async function said(change: () => Promise<string>): Promise<{ id: string }> {
  try {
    return { id: await change() };
  } catch (error) {
    if (error instanceof MasterKeysError) throw new AltoError('unprocessable', error.message);
    throw error;
  }
}
