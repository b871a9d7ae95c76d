/** The body of an upload as it comes from the network: bounded in silence, clear about how it ended. */
import { Inject, Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { AltoError } from '@alto/contracts';
import { CONFIG } from '@alto/platform';
import type { StorageConfig } from '../config';
import type { UploadBody } from './bundles.service';

@Injectable()
export class UploadStream {
  constructor(@Inject(CONFIG) private readonly config: StorageConfig) {}

  of(request: IncomingMessage): UploadBody {
    const expectedBytes = Number(request.headers['content-length'] ?? 0);
    return { expectedBytes, chunks: this.read(request) };
  }

  /** Reads only as fast as chunks are taken. @throws AltoError when the body ends early or nothing comes for too long */
  private async *read(request: IncomingMessage): AsyncGenerator<Buffer> {
    const idleMs = this.config.ALTO_STORAGE_UPLOAD_IDLE_MS;
    const giveUp = () => request.destroy(new AltoError('timeout', `Nothing of the upload arrived for ${idleMs} ms.`));
    let overdue: NodeJS.Immediate | undefined;
    // What has come in while this process stood still is read first.
    const silent = () => (overdue = setImmediate(giveUp));
    let timer = setTimeout(silent, idleMs);
    const heard = () => {
      clearTimeout(timer);
      clearImmediate(overdue);
    };
    try {
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        heard();
        yield chunk as Buffer;
        timer = setTimeout(silent, idleMs);
      }
    } catch (error) {
      if (error instanceof AltoError) throw error;
      throw new AltoError(
        'invalid_request',
        { message: 'The upload broke off before its end.', field: 'body' },
        { cause: error },
      );
    } finally {
      heard();
    }
  }
}
