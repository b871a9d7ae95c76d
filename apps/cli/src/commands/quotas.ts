import { type ProjectLimits, type ProjectUse, type QuotaName, quotaNames } from '@alto/contracts';
import { Command, InvalidArgumentError } from 'commander';
import { calledAs } from '../called-as';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';

type Change = readonly [QuotaName, number | undefined];

export function quotaCommands(session: Session, output: Output): Command {
  const command = new Command('quotas').description('Show and set how much a project may have').addHelpText(
    'after',
    examples([
      ['alto quotas', 'what the project may have, and has'],
      ['alto quotas set apps=10 storageBytes=20GiB --project shop', 'set limits; operators only'],
      ['alto quotas set messages=none', 'take one away'],
    ]),
  );

  command
    .command('show', { isDefault: true })
    .description('Show what the project may have, and has')
    .addHelpText('after', examples([['alto quotas show --project shop --json', 'of another project, for a program']]))
    .action(async () => {
      const client = await session.client();
      const quotas = await client.quotas.get({ project: session.project });
      output.result(quotas, () => {
        const missing = quotas.unavailable.join(', ');
        const note = missing === '' ? '' : `\n\nNot counted, since the service is away: ${missing}`;
        return output.table(['QUOTA', 'USED', 'LIMIT'], rowsOf(quotas)) + note;
      });
    });

  command
    .command('set')
    .argument('<limits...>', 'such as apps=10', (text, before: readonly Change[] = []) => [
      ...before,
      parseChange(text),
    ])
    .description('Set limits; those that are not named stay as they are. For operators')
    .addHelpText(
      'after',
      examples([
        ['alto quotas set apps=10 instances=30 cpuMillis=8000 memoryBytes=16GiB', 'limit what runs'],
        ['alto quotas set storageBytes=none', 'no limit any more'],
      ]),
    )
    .action(async (changes: readonly Change[]) => {
      const client = await session.client();
      const { limits: present, version } = await client.quotas.get({ project: session.project });
      const limits = Object.fromEntries(
        Object.entries({ ...present, ...Object.fromEntries(changes) }).filter(([, limit]) => limit !== undefined),
      ) as ProjectLimits;
      const quotas = await client.quotas.put({ project: session.project, limits }, { ifMatch: version });
      output.result(quotas, () => `The quotas of ${session.project} are set; \`${calledAs} quotas\` shows them.`);
    });
  return command;
}

function rowsOf({ limits, use }: { limits: ProjectLimits; use: ProjectUse }): string[][] {
  const shown = (name: QuotaName, amount: number) => (name.endsWith('Bytes') ? inBytes(amount) : String(amount));
  return quotaNames.map((name) => {
    const [used, limit] = [use[name], limits[name]];
    return [name, used === undefined ? '–' : shown(name, used), limit === undefined ? 'none' : shown(name, limit)];
  });
}

/** As `alto quotas set` takes them where they are whole: `192 MiB`, `1.5 GiB`, `768 B`. */
export function inBytes(bytes: number): string {
  const [unit, factor] = Object.entries(factors).findLast(([, size]) => bytes >= size) ?? ['', 1];
  return `${Number((bytes / factor).toFixed(1))} ${unit || 'B'}`;
}

const factors = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** `apps=10`, `storageBytes=20GiB`, `messages=none`. */
export function parseChange(text: string): Change {
  const [, name, count, unit, none] = /^(\w+)=(?:(\d{1,15})([KMGT]iB)?|(none))$/.exec(text) ?? [];
  const quota = quotaNames.find((known) => known === name);
  if (quota === undefined || (unit !== undefined && !quota.endsWith('Bytes'))) {
    throw new InvalidArgumentError(
      `${text}: must be <quota>=<number>, with KiB, MiB, GiB or TiB for bytes, or <quota>=none; quotas are ${quotaNames.join(', ')}.`,
    );
  }
  return [quota, none === undefined ? Number(count) * factors[(unit ?? '') as keyof typeof factors] : undefined];
}
