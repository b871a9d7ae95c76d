import { computeOperations, type Rollout } from '@alto/contracts';
import { Argument, Command } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';
import { wholeNumber } from './whole-number';

export function rolloutsCommand(session: Session, output: Output): Command {
  return new Command('rollouts')
    .description('List how the changes of an app went, or show one of them')
    .argument('<app>')
    .addArgument(new Argument('[number]', 'of one of them').argParser(wholeNumber))
    .addHelpText(
      'after',
      examples([
        ['alto rollouts hello', 'list them, newest first'],
        ['alto rollouts hello 7', 'why the seventh failed, with the last log lines of the instance at fault'],
      ]),
    )
    .action(async (name: string, number: number | undefined) => {
      const client = await session.client();
      const address = { project: session.project, app: name };
      if (number !== undefined) {
        const rollout = await client.rollouts.get({ ...address, rollout: number });
        output.result(rollout, () => `${rolloutTable(output, [rollout])}${lastWords(rollout)}`);
        return;
      }
      const items = await collect(client.listAll(computeOperations.rollouts.list, address));
      const nothing = `${name} has had no rollouts yet: it runs as it was deployed first.`;
      output.result({ items }, () => (items.length === 0 ? nothing : rolloutTable(output, items)));
    });
}

function rolloutTable(output: Output, rollouts: readonly Rollout[]): string {
  const rows = rollouts.map(({ number, phase, strategy, from, to, step, startedAt, endedAt, reason }) => [
    number,
    phase,
    strategy,
    `${from ?? '–'} → ${to}`,
    step === null ? null : `${step.number}/${step.of}, ${step.weight} %`,
    age(startedAt),
    endedAt === null ? null : age(startedAt, Date.parse(endedAt)),
    reason,
  ]);
  return output.table(['ROLLOUT', 'PHASE', 'STRATEGY', 'REVISION', 'STEP', 'AGE', 'TOOK', 'REASON'], rows);
}

function lastWords({ failingInstance, lastLogLines }: Rollout): string {
  if (failingInstance === null) return '';
  return ['', '', `Instance ${failingInstance} said last:`, ...lastLogLines.map((line) => `  | ${line}`)].join('\n');
}
