/**
 * Finds or fetches the servers that Alto runs and npm does not bring: nats-server and HAProxy.
 *
 *   node tools/with-runtime.mjs tools/servers.ts
 *
 * In this order: the PATH; Debian's packages, unpacked for Alto alone (nothing is installed, no daemon is started);
 * the official release with a pinned checksum; else one sentence with the command for this system.
 */
import { pathToFileURL } from 'node:url';
import { ensureServers } from './servers/ensure.ts';

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    for (const server of await ensureServers({ report: (line) => process.stderr.write(`${line}\n`) })) {
      process.stdout.write(`${server.name.padEnd(14)}${server.version.padEnd(12)}${server.path}\n`);
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
