import { computeOperations } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';

export function nodeCommands(session: Session, output: Output): Command {
  const command = new Command('nodes').description('List the machines of the cluster').addHelpText(
    'after',
    examples([
      ['alto nodes', 'list them'],
      ['alto nodes --json', 'the same for a program'],
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
        const rows = items.map(({ name, state, used, capacity, agentVersion, lastSeenAt, reason }) => [
          name,
          state,
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
  return command;
}

const gibibytes = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
