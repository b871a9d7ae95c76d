import { computeOperations, idOf } from '@alto/contracts';
import { Command } from 'commander';
import { examples } from '../examples';
import { CommandError, exitCodes } from '../failure';
import { byAgent } from '../local/by-agent';
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
        ['alto nodes delete node-1', 'forget one that is lost for good'],
        ['alto nodes token', 'let another machine join'],
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
        const rows = items.map(({ name, state, intake, used, capacity, labels, agentVersion, lastSeenAt, reason }) => [
          name,
          intake === 'open' ? state : `${state}, ${intake}`,
          used.instances,
          `${(used.cpuMillis / 1000).toFixed(1)}/${(capacity.cpuMillis / 1000).toFixed(1)}`,
          `${gibibytes(used.memoryBytes)}/${gibibytes(capacity.memoryBytes)} GiB`,
          labels['alto.sandbox'] ?? '',
          agentVersion,
          `${age(lastSeenAt)} ago`,
          reason,
        ]);
        return output.table(header, rows);
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
  command
    .command('delete <node>')
    .description(
      'Delete a machine that is lost for good: what ran there is given up; refused while it may still be there',
    )
    .addHelpText('after', examples([['alto nodes delete node-1', 'when it has lost its disk, or is no more']]))
    .action(async (name: string) => {
      const client = await session.client();
      const node = await client.nodes.delete({ node: name });
      output.result(node, () => `${node.name} is deleted${givenUp(node.used.instances)}.`);
    });
  command.addCommand(tokenCommand(session, output));
  return command;
}

const spare = (title: string) => ({ title, isWhole: true, isSpare: true });

const header = [
  'NODE',
  'STATE',
  'INSTANCES',
  spare('CPU'),
  spare('MEMORY'),
  spare('SANDBOX'),
  spare('AGENT'),
  spare('SEEN'),
  'REASON',
];

function tokenCommand(session: Session, output: Output): Command {
  return new Command('token')
    .description('Print a token with which another machine joins; keep it as secret as a password')
    .option('--node <node>', 'name or id; for a machine that has joined before, to give it new credentials')
    .addHelpText(
      'after',
      examples([
        ['alto nodes token > token', '`alto join < token` there lets the machine join'],
        ['alto nodes token --node node-1', 'the same machine again'],
      ]),
    )
    .action(async ({ node }: { node?: string }) => {
      const id = node === undefined ? undefined : await nodeId(session, node);
      const made = await byAgent(session, 'no other machine can join it.', () => session.agent.nodeToken(id));
      if (isLoopback(made.natsUrl)) {
        output.warning(
          `NATS listens on this machine alone (${made.natsUrl}): other machines can join once Alto was started with ` +
            'ALTO_PRIVATE_HOST=<its address in your private network>.',
        );
      }
      output.result(made, () => made.token);
    });
}

/** The agent, which makes the token, knows no names. An id is taken as it is: the machine may be away, and the API too. */
async function nodeId(session: Session, node: string): Promise<string> {
  if (idOf('node').safeParse(node).success) return node;
  const items = await collect((await session.client()).listAll(computeOperations.nodes.list, {}));
  const found = items.find(({ id, name }) => id === node || name === node);
  if (found !== undefined) return found.id;
  throw new CommandError(`There is no node ${node}.`, '`alto nodes list` shows those there are.', exitCodes.notFound);
}

const isLoopback = (url: string) => /^nats:\/\/(127\.|\[::1\])/.test(url);

const intakes = [
  ['cordon', 'Place nothing new on a machine; what runs there goes on', 'before work on it'],
  [
    'drain',
    'Move all instances off a machine, each only once another one serves in its place',
    'before switching it off',
  ],
  ['uncordon', 'Let a machine take instances again', 'after the work on it'],
] as const;

function givenUp(instances: number): string {
  if (instances === 0) return '';
  return instances === 1 ? '; the instance on it is given up' : `; ${instances} instances on it are given up`;
}

const gibibytes = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
