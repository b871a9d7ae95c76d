import { computeOperations } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';

export function nodeCommands(session: Session, output: Output): Command {
  const command = new Command('nodes')
    .description('List the machines of the cluster and keep instances off them')
    .addHelpText(
      'after',
      examples([
        ['alto nodes', 'list them'],
        ['alto nodes drain node-1', 'move what runs on one elsewhere'],
      ]),
    );

  command
    .command('list', { isDefault: true })
    .description('List the machines of the cluster')
    .addHelpText(
      'after',
      examples([
        ['alto nodes list', 'list them'],
        ['alto nodes list --json', 'the same for a program'],
      ]),
    )
    .action(async () => {
      const client = await session.client();
      const items = await collect(client.listAll(computeOperations.nodes.list, {}));
      output.result({ items }, () => {
        const rows = items.map(({ name, state, intake, used, capacity, agentVersion, lastSeenAt, reason }) => [
          name,
          intake === 'open' ? state : `${state}, ${intake}`,
          used.instances,
          `${(used.cpuMillis / 1000).toFixed(1)}/${(capacity.cpuMillis / 1000).toFixed(1)}`,
          `${gibibytes(used.memoryBytes)}/${gibibytes(capacity.memoryBytes)} GiB`,
          agentVersion,
          `${age(lastSeenAt)} ago`,
          reason,
        ]);
        return output.table(['NODE', 'STATE', 'INSTANCES', 'CPU', 'MEMORY', 'AGENT', 'SEEN', 'REASON'], rows);
      });
    });
  for (const [verb, description, meaning] of intakes) {
    command
      .command(`${verb} <node>`)
      .description(description)
      .addHelpText('after', examples([[`alto nodes ${verb} node-1`, meaning]]))
      .action(async (name: string) => {
        const client = await session.client();
        const node = await client.nodes[verb]({ node: name });
        output.result(node, () => `${node.name} is ${node.intake}${node.reason === '' ? '.' : `: ${node.reason}`}`);
      });
  }
  return command;
}

const intakes = [
  ['cordon', 'Place nothing new on a machine; what runs there goes on', 'before work on it'],
  [
    'drain',
    'Move all instances off a machine, each only once another one serves in its place',
    'before switching it off',
  ],
  ['uncordon', 'Let a machine take instances again', 'after the work on it'],
] as const;

const gibibytes = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
