/** The master keys of compute, from where the settings say. */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { AltoError } from '@alto/contracts';
import { CONFIG, Log, MasterKeys, MasterKeysError } from '@alto/platform';
import type { EntityManager } from 'typeorm';
import type { ComputeConfig } from '../config';
import { NodesService } from '../nodes/nodes.service';
import { sealingKeyOf } from './rotation';

@Injectable()
export class SecretKeys implements OnModuleInit {
  constructor(
    @Inject(CONFIG) private readonly config: ComputeConfig,
    private readonly nodes: NodesService,
    private readonly log: Log,
  ) {}

  /** Said at once and not when the first secret is set; everything else works without. */
  onModuleInit(): void {
    try {
      this.read();
    } catch (error) {
      if (!(error instanceof MasterKeysError)) throw error;
      this.log.warn('Secrets cannot be set: the master key is missing', { reason: error.message });
    }
  }

  /**
   * The keys, of which that one seals which every machine has.
   * @throws AltoError service_unavailable
   */
  async sealing(manager: EntityManager): Promise<MasterKeys> {
    const keys = this.current();
    return keys.sealingWith(sealingKeyOf(keys.ids, await this.nodes.keyHolders(manager)));
  }

  /** Read each time, so that a key that was added counts at once. @throws AltoError service_unavailable */
  current(): MasterKeys {
    try {
      return this.read();
    } catch (error) {
      if (!(error instanceof MasterKeysError)) throw error;
      throw new AltoError('service_unavailable', {
        message: `Secrets cannot be sealed: ${error.message}`,
        nextStep: 'Give compute its master key: ALTO_MASTER_KEY_FILE, or ALTO_MASTER_KEY.',
        details: { service: 'compute' },
      });
    }
  }

  /** Whether there are any; who needs one is told why not by {@link current}. */
  get present(): boolean {
    try {
      return this.read().ids.length > 0;
    } catch (error) {
      if (error instanceof MasterKeysError) return false;
      throw error;
    }
  }

  private read(): MasterKeys {
    const { ALTO_MASTER_KEY_FILE: file, ALTO_MASTER_KEY: text } = this.config;
    if (file !== undefined) return MasterKeys.fromFile(file);
    if (text !== undefined) return MasterKeys.parse(text, 'ALTO_MASTER_KEY');
    throw new MasterKeysError('Neither ALTO_MASTER_KEY_FILE nor ALTO_MASTER_KEY is set.');
  }
}
