import { Injectable } from '@nestjs/common';
import { LessThan, MoreThan } from 'typeorm';
import { Database } from '@alto/platform';
import { VolumeEntity, VolumeServerEntity } from './volume.entity';

@Injectable()
export class VolumesStore {
  constructor(private readonly db: Database) {}

  isKnown(id: string): Promise<boolean> {
    return this.db.manager.existsBy(VolumeEntity, { id });
  }

  async add(id: string, createdAt: Date): Promise<void> {
    await this.db.manager
      .createQueryBuilder()
      .insert()
      .into(VolumeEntity)
      .values({ id, createdAt })
      .orIgnore()
      .execute();
  }

  /** Notes that an instance serves a volume, and forgets instances not seen since `forgetBefore`. */
  async see(instance: string, volume: string, seenAt: Date, forgetBefore: Date): Promise<void> {
    await this.db.manager.upsert(VolumeServerEntity, { instance, volume, seenAt }, ['instance']);
    await this.db.manager.delete(VolumeServerEntity, { seenAt: LessThan(forgetBefore) });
  }

  async leave(instance: string): Promise<void> {
    await this.db.manager.delete(VolumeServerEntity, { instance });
  }

  /** Instances seen serving the volume after `since`. */
  async serversOf(volume: string, since: Date): Promise<string[]> {
    const servers = await this.db.manager.findBy(VolumeServerEntity, { volume, seenAt: MoreThan(since) });
    return servers.map(({ instance }) => instance);
  }
}
