/** A file for what can be shown only once. */
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { CommandError, exitCodes } from './failure';

/**
 * Takes the place before the content is made, so that nothing is made that could not be kept. Readable by its owner alone.
 * @throws CommandError where there is a file already, or none can be made; nothing is made then
 */
export async function writeNewFile<T>(path: string, make: () => Promise<T>, textOf: (made: T) => string): Promise<T> {
  const file = openNew(path);
  try {
    const made = await make();
    writeFileSync(file, textOf(made));
    return made;
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(
      code === 'EEXIST' ? `There is a file ${path} already.` : `${path} cannot be written: ${message}`,
      'Name another file with --out. Nothing was made.',
      exitCodes.usage,
    );
  }
}
