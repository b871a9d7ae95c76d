/** Tokens with which other machines join this Alto. Only the agent that made its keys can make them. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AltoError, encodeJoinToken, natsPermissions, newId } from '@alto/contracts';
import type { DataDirectory } from '../data-directory';
import { accountKeyFile, makeCredentials } from '../first-start';
import type { StaticManifest } from '../workloads/workload';

const agentOfNode = 'node-agent';

const nodeId = /^[A-Za-z0-9_-]{1,60}$/;

export interface NodeToken {
  node: string;
  token: string;
  /** Where the machine that joins must reach the bus. */
  natsUrl: string;
}

export interface NodeTokensOptions {
  directory: Pick<DataDirectory, 'keys' | 'masterKeyFile'>;
  /** As this agent reaches the bus; undefined before first start has said so. */
  bus: () => StaticManifest['agent'];
}

export class NodeTokens {
  constructor(private readonly options: NodeTokensOptions) {}

  /** @param node of a machine that has joined before; unless given a new one */
  async make(node: string = newId('node')): Promise<NodeToken> {
    const { directory, bus } = this.options;
    // It becomes part of subjects, where a wildcard would mean all machines.
    if (!nodeId.test(node))
      throw new AltoError('invalid_request', { message: 'node must be the id of a node', field: 'node' });
    const keys = join(directory.keys, 'nats');
    const at = bus();
    if (!existsSync(accountKeyFile(keys)) || !at?.callerPublicKeys) throw notHere();
    const credentials = await makeCredentials(keys, agentOfNode, natsPermissions(agentOfNode, { node }));
    const { natsUrl, callerPublicKeys } = at;
    const masterKeys = await readFile(directory.masterKeyFile, 'utf8');
    return { node, natsUrl, token: encodeJoinToken({ node, natsUrl, credentials, callerPublicKeys, masterKeys }) };
  }
}

function notHere(): AltoError {
  return new AltoError('unprocessable', {
    message: 'This agent does not hold the keys of its Alto, so it cannot let another machine join.',
    nextStep: 'Ask the machine on which Alto was started first.',
  });
}
