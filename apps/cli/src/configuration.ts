/** What `alto login` remembers: `~/.config/alto/config.json`, readable by its owner alone. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { CommandError } from './failure';

const configurationSchema = z.object({
  url: z.string().optional(),
  key: z.string().optional(),
  project: z.string().optional(),
});
export type Configuration = z.output<typeof configurationSchema>;

export function configurationPath(environment: Readonly<Record<string, string | undefined>>): string {
  const base = environment.XDG_CONFIG_HOME || join(environment.HOME || homedir(), '.config');
  return join(base, 'alto', 'config.json');
}

export function readConfiguration(path: string): Configuration {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`, 'Make it readable for yourself.');
  }
  try {
    return configurationSchema.parse(JSON.parse(text));
  } catch {
    throw new CommandError(`${path} is not what \`alto login\` writes.`, 'Remove it and log in again.');
  }
}

/** @throws CommandError where it cannot be kept; what was there before stays */
export function writeConfiguration(path: string, configuration: Configuration): void {
  const partial = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(partial, `${JSON.stringify(configuration, null, 2)}\n`, { mode: 0o600 });
    chmodSync(partial, 0o600);
    renameSync(partial, path);
  } catch (error) {
    throw new CommandError(
      `${path} cannot be written: ${(error as Error).message}`,
      'Make it writable for yourself, or name another folder in XDG_CONFIG_HOME; ALTO_URL and ALTO_API_KEY need no file.',
    );
  }
}
