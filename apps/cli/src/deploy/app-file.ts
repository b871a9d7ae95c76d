/** `alto.yaml`: an app as its folder describes it. The schema is that of the API, and what belongs to the folder. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { appSpecSchema, nameField } from '@alto/contracts';
import { parse } from 'yaml';
import { z } from 'zod';
import { CommandError, exitCodes } from '../failure';
import { faultsOf } from './faults';

export const appFileSchema = appSpecSchema.omit({ bundle: true }).extend({
  name: nameField.optional().describe("Name of the app; the folder's name unless given"),
  hosts: z.array(z.string()).max(20).default([]).describe('Host names that lead to the app'),
});

const readTheReference =
  'docs/app-file.md describes every key; the JSON schema beside it lets an editor check the file.';

export type AppFile = z.output<typeof appFileSchema> & { name: string };

/**
 * @param given name in place of the one in the file, which itself stands before the folder's
 * @throws CommandError that names every field at fault
 */
export function readAppFile(directory: string, given?: string): AppFile {
  const file = join(directory, 'alto.yaml');
  if (!existsSync(directory))
    throw new CommandError(`There is no folder ${directory}.`, 'Name the folder of the app.', exitCodes.usage);
  if (!existsSync(file)) {
    throw new CommandError(
      `There is no ${file}.`,
      'Write one: `command: [node, server.mjs]` and `replicas: 3` are enough.',
      exitCodes.usage,
    );
  }
  const parsed = appFileSchema.safeParse(parseYaml(file) ?? {});
  if (!parsed.success) {
    const faults = faultsOf(appFileSchema, parsed.error).map((fault) => `  ${fault}`);
    throw new CommandError(`${file} is not valid:\n${faults.join('\n')}`, readTheReference, exitCodes.usage);
  }
  return { ...parsed.data, name: nameOf(given, parsed.data.name, directory) };
}

function nameOf(given: string | undefined, written: string | undefined, directory: string): string {
  const name = given ?? written ?? basename(resolve(directory));
  const parsed = nameField.safeParse(name);
  if (parsed.success) return name;
  throw new CommandError(
    `'${name}' cannot be the name of an app: it ${parsed.error.issues[0]?.message ?? 'is not valid'}.`,
    'Write `name: <name>` into its alto.yaml, or give it with --name.',
    exitCodes.usage,
  );
}

function parseYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(`${file} is not YAML: ${(error as Error).message}`, readTheReference, exitCodes.usage);
  }
}
