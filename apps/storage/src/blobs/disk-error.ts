/** What a file system error means to the caller of an operation. */
import { AltoError } from '@alto/contracts';
import { fileErrorCode } from './filesystem';

const outOfSpace = new Set(['ENOSPC', 'EDQUOT']);
/** After these the disk, or the kernel's record of what reached it, cannot be trusted: an fsync is never retried. */
const brokenDisk = new Set(['EIO', 'EROFS', 'ENXIO', 'ESTALE']);

export function isBrokenDisk(error: unknown): boolean {
  return brokenDisk.has(fileErrorCode(error) ?? '');
}

/** Turns a file system error into an AltoError; anything else comes back as it is. */
export function diskError(error: unknown): unknown {
  const code = fileErrorCode(error);
  if (code === undefined || error instanceof AltoError) return error;
  if (outOfSpace.has(code)) return noSpace(error);
  if (brokenDisk.has(code)) {
    return new AltoError(
      'service_unavailable',
      {
        message: `The disk of this storage instance failed (${code}); nothing was stored.`,
        nextStep: "Check the machine's kernel log and disk, then restart the storage service.",
      },
      { cause: error },
    );
  }
  return error;
}

export function noSpace(cause?: unknown): AltoError {
  return new AltoError(
    'insufficient_storage',
    {
      message: 'The disk of this storage instance is full; nothing was stored.',
      nextStep: 'Free space on the machine, or lower ALTO_STORAGE_FREE_BYTES_MIN, and try again.',
    },
    { cause },
  );
}
