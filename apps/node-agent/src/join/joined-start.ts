/**
 * First start of a machine that joins an Alto elsewhere: it runs apps, and none of Alto's own services. Its token lies
 * in `keys/join.token`; a newer one put there is taken over at the next start.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJoinToken } from '@alto/contracts';
import type { DataDirectory } from '../data-directory';
import { ensureNode, type FirstStart, writeIfChanged } from '../first-start';

/** Whether this machine has joined, or is about to. */
export function joins(directory: DataDirectory): boolean {
  return existsSync(directory.joinTokenFile);
}

export const joinedStart: FirstStart = async (directory, report) => {
  directory.create();
  report('join', 'reading the token of this machine');
  const token = decodeJoinToken(await readFile(directory.joinTokenFile, 'utf8'));
  const folder = join(directory.keys, 'nats');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const natsCredsFile = join(folder, 'node-agent.creds');
  await writeIfChanged(natsCredsFile, token.credentials);
  await writeIfChanged(directory.masterKeyFile, token.masterKeys);
  report('runtime', 'installing Node for apps');
  await ensureNode(directory.runtime, process.execPath, process.versions.node);
  const { node: nodeId, natsUrl, callerPublicKeys } = token;
  return { workloads: [], agent: { nodeId, natsUrl, natsCredsFile, callerPublicKeys } };
};
