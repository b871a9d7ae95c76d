import { Injectable } from '@nestjs/common';
import { LessThan } from 'typeorm';
import { Database } from '@alto/platform';
import { SigningKeyEntity } from './signing-key.entity';

@Injectable()
export class SigningKeysStore {
  constructor(private readonly db: Database) {}

  find(id: string): Promise<SigningKeyEntity | null> {
    return this.db.manager.findOneBy(SigningKeyEntity, { id });
  }

  async newest(): Promise<SigningKeyEntity | undefined> {
    const [newest] = await this.db.manager.find(SigningKeyEntity, { order: { createdAt: 'DESC' }, take: 1 });
    return newest;
  }

  async add(key: SigningKeyEntity): Promise<void> {
    await this.db.manager.insert(SigningKeyEntity, key);
  }

  async removeOlderThan(createdBefore: Date): Promise<void> {
    await this.db.manager.delete(SigningKeyEntity, { createdAt: LessThan(createdBefore) });
  }
}
