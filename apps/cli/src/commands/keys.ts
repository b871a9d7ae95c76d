import { type ApiKey, gatewayOperations, type OutputOf, projectRoles, type Scope, scopes } from '@alto/contracts';
import { Command, InvalidArgumentError, Option } from 'commander';
import { examples } from '../examples';
import { writeNewFile } from '../new-file';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';
import { collect } from './collect';
import { duration } from './duration';

interface Whose {
  operator?: true;
}

interface CreateOptions extends Whose {
  name: string;
  role: (typeof projectRoles)[number];
  expires?: number;
  scope?: Scope[];
  nats?: true;
  out?: string;
}

const ofOperators = () => new Option('--operator', "operators' keys, which are of the whole cluster");

export function keyCommands(session: Session, output: Output): Command {
  const command = new Command('keys')
    .description('List, create, rotate and revoke API keys, of a project or of operators')
    .addHelpText(
      'after',
      examples([
        ['alto keys create --name ci --expires 30d --scope apps:read', 'make one; its secret is shown once'],
        ['alto keys rotate key_01k…', 'give it a new secret; the old one works for an hour more'],
        ['alto keys revoke key_01k…', 'end it at once'],
        ['alto keys list --operator', 'the keys that may do everything'],
      ]),
    );
  command.addCommand(listCommand(session, output), { isDefault: true });
  command.addCommand(createCommand(session, output));
  command.addCommand(rotateCommand(session, output));
  command.addCommand(revokeCommand(session, output));
  return command;
}

function listCommand(session: Session, output: Output): Command {
  return new Command('list')
    .description('List keys, without their secrets')
    .addOption(ofOperators())
    .addHelpText('after', examples([['alto keys list --project shop', 'the keys of another project']]))
    .action(async ({ operator }: Whose) => {
      const client = await session.client();
      const items = await collect(
        operator
          ? client.listAll(gatewayOperations.operatorKeys.list, {})
          : client.listAll(gatewayOperations.keys.list, { project: session.project }),
      );
      output.result({ items }, () => {
        const nothing =
          `Project ${session.project} has no keys of its own: operators' keys work in it. ` +
          '`alto keys create --name <text>` makes one.';
        return output.list(header, items.map(rowOf), nothing);
      });
    });
}

const header = [
  'KEY',
  'NAME',
  'ROLE',
  { title: 'SCOPES', isSpare: true },
  'STATE',
  { title: 'LAST USED', isWhole: true, isSpare: true },
  'EXPIRES',
  { title: 'AGE', isSpare: true },
];

function createCommand(session: Session, output: Output): Command {
  return new Command('create')
    .description('Create a key; its secret is shown this once')
    .requiredOption('--name <text>', 'what it is for')
    .addOption(new Option('--role <role>', 'what it may do').choices(projectRoles).default('developer'))
    .option('--expires <time>', 'when it stops working by itself, from now: 12h, 30d', duration)
    .option('--scope <permission>', 'narrow it to this, e.g. apps:read or apps:*; may be given again', addScope)
    .addOption(ofOperators().conflicts('role'))
    .addOption(
      new Option('--nats', 'credentials that read the events of the project on NATS, and nothing else').conflicts([
        'role',
        'scope',
        'operator',
      ]),
    )
    .option('--out <file>', 'write the secret to this new file, readable by you alone, instead of showing it')
    .addHelpText(
      'after',
      examples([
        ['alto keys create --name ci --role developer', 'make one; its secret is shown once'],
        ['alto keys create --name ci --out ci.key', 'the same, into a file'],
        ['alto keys create --name dashboard --expires 30d --scope apps:read', 'one that reads apps, for a month'],
        ["alto keys create --operator --name 'on call'", 'one for the whole cluster'],
        ['alto keys create --nats --name feed --out feed.creds', 'one that reads events on NATS, for 90 days'],
      ]),
    )
    .action(async ({ name, role, expires, scope, operator, nats, out }: CreateOptions) => {
      const client = await session.client();
      const wanted = {
        name,
        ...(expires !== undefined && { expiresAt: new Date(Date.now() + expires).toISOString() }),
        ...(scope && { scopes: scope }),
      };
      if (nats) {
        const make = () => client.keys.createNats({ project: session.project, ...wanted });
        const made = await kept(out, make, ({ credentials }) => credentials);
        return output.result(made, () => shownCredentials(made, out));
      }
      const make = () =>
        operator
          ? client.operatorKeys.create(wanted)
          : client.keys.create({ project: session.project, role, ...wanted });
      const key = await kept(out, make, (made) => `${made.key}\n`);
      output.result(key, () => shown(key, session.project, 'It is not shown again.', out));
    });
}

async function kept<T>(file: string | undefined, make: () => Promise<T>, secretOf: (made: T) => string): Promise<T> {
  return file === undefined ? await make() : await writeNewFile(file, make, secretOf);
}

function rotateCommand(session: Session, output: Output): Command {
  return new Command('rotate')
    .argument('<key>', 'id of the key')
    .description('Give a key a new secret, shown this once; the old one works for a while longer')
    .addOption(
      new Option('--overlap <time>', 'how long the old secret works beside the new one: 0s, 15m, 7d')
        .argParser(duration)
        .default(3_600_000, '1h'),
    )
    .addOption(ofOperators())
    .addHelpText(
      'after',
      examples([
        ['alto keys rotate key_01k… --overlap 7d', 'a week to replace it everywhere'],
        ['alto keys rotate key_01k… --overlap 0s', 'the old secret has leaked'],
      ]),
    )
    .action(async (key: string, { overlap: overlapMs, operator }: { overlap: number } & Whose) => {
      const client = await session.client();
      const rotated = operator
        ? await client.operatorKeys.rotate({ key, overlapMs })
        : await client.keys.rotate({ project: session.project, key, overlapMs });
      const until = rotated.previousValidUntil;
      const old = until ? `The old secret works until ${until}.` : 'The old secret works no more.';
      output.result(rotated, () => shown(rotated, session.project, `${old} The new one is not shown again.`));
    });
}

function revokeCommand(session: Session, output: Output): Command {
  return new Command('revoke')
    .argument('<key>', 'id of the key')
    .description('Revoke a key, or credentials for NATS, at once and for good; who is connected with them is cut off')
    .addOption(ofOperators())
    .addHelpText('after', examples([['alto keys revoke key_01k…', 'end it at once']]))
    .action(async (key: string, { operator }: Whose) => {
      const client = await session.client();
      const revoked = operator
        ? await client.operatorKeys.revoke({ key })
        : await client.keys.revoke({ project: session.project, key });
      const pending = 'pending' in revoked && revoked.pending ? ` ${revoked.pending}` : '';
      output.result(revoked, () => `Key ${revoked.id} (${revoked.name}) is revoked.${pending}`);
    });
}

function rowOf(key: ApiKey): (string | null)[] {
  return [
    key.id,
    key.name,
    key.kind === 'nats' ? 'nats' : key.role,
    key.scopes?.join(' ') ?? 'all of its role',
    stateOf(key),
    key.lastUsedAt === null ? 'never' : `${age(key.lastUsedAt)} ago`,
    key.expiresAt ?? 'never',
    age(key.createdAt),
  ];
}

function stateOf({ revokedAt, expiresAt, previousValidUntil }: ApiKey): string {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt && Date.parse(expiresAt) <= Date.now()) return 'expired';
  return previousValidUntil ? 'rotating' : 'valid';
}

function shown(key: ApiKey & { key: string }, project: string, closing: string, file?: string): string {
  const whose = key.project === null ? 'of the whole cluster' : `of project ${project}`;
  const secret = file === undefined ? key.key : `Written to ${file}.`;
  return `${secret}\n\nThis is key ${key.id} ${whose}, role ${key.role}. ${closing}`;
}

type Credentials = OutputOf<typeof gatewayOperations.keys.createNats>;

function shownCredentials(made: Credentials, out: string | undefined): string {
  const place = out === undefined ? made.credentials : `Written to ${out}.`;
  const use = `They read ${made.subject} at ${made.servers.join(',')} until ${made.expiresAt}, and nothing else.`;
  return `${place}\n\nThis is key ${made.id}, credentials for NATS. ${use} They are not shown again.`;
}

/** `apps:read` and `apps.read` are the same. */
function addScope(text: string, before: Scope[] = []): Scope[] {
  const scope = scopes.find((known) => known === text.replace(':', '.'));
  if (scope !== undefined) return [...before, scope];
  throw new InvalidArgumentError(`It must be one of: ${scopes.map((known) => known.replace('.', ':')).join(', ')}.`);
}
