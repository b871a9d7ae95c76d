import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { type AuditRecord, auditResults, gatewayOperations } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { Command, Option } from 'commander';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';
import { duration } from './duration';
import { wholeNumber } from './whole-number';

interface AuditOptions {
  since?: number;
  key?: string;
  operation?: string;
  resource?: string;
  result?: (typeof auditResults)[number];
  cluster?: true;
  export?: true;
  lines: number;
}

const header = ['TIME', 'KEY', 'OPERATION', 'RESOURCE', 'RESULT', 'FROM', 'TIMES'];

export function auditCommand(session: Session, output: Output): Command {
  return new Command('audit')
    .description('Show who has changed, or tried to change, what in the project; for admins')
    .option('--since <time>', 'of the last 30m, 1h, 7d', duration)
    .option('--key <id>', 'with this key')
    .option('--operation <name>', 'such as compute.apps.put')
    .option('--resource <path>', 'such as apps/web, and all below it')
    .addOption(new Option('--result <result>', 'that ended so').choices(auditResults))
    .option('-n, --lines <count>', 'how many to show, the newest first', wholeNumber, 50)
    .option('--cluster', 'of the whole cluster, for operators')
    .option('--export', 'all of them, oldest first, one JSON object on each line')
    .addHelpText(
      'after',
      examples([
        ['alto audit --since 1h', 'what has happened in the last hour'],
        ['alto audit --resource apps/web --json', 'every change of an app, with before and after'],
        ['alto audit --result refused --cluster', 'who tries what they may not do'],
        ['alto audit --export --since 30d > audit.ndjson', 'to keep elsewhere'],
      ]),
    )
    .action(async (options: AuditOptions) => {
      const client = await session.client();
      if (options.export) return exportAll(client, session.project, options, output);
      const items = await newest(client, session.project, options);
      output.result({ items }, () => output.list(header, items.map(rowOf), 'There are no such entries.'));
    });
}

function filterOf({ since, key, operation, resource, result }: AuditOptions) {
  const begin = since === undefined ? undefined : new Date(Date.now() - since).toISOString();
  return { since: begin, key, operation, resource, result };
}

async function newest(client: AltoClient, project: string, options: AuditOptions): Promise<AuditRecord[]> {
  const filter = filterOf(options);
  const limit = Math.min(200, Math.max(1, options.lines));
  const entries = options.cluster
    ? client.listAll(gatewayOperations.audit.listAll, { ...filter, limit })
    : client.listAll(gatewayOperations.audit.list, { ...filter, limit, project });
  const items: AuditRecord[] = [];
  for await (const entry of entries) {
    if (items.length >= options.lines) break;
    items.push(entry);
  }
  return items;
}

/** One line at a time, however many there are. */
async function exportAll(client: AltoClient, project: string, options: AuditOptions, output: Output): Promise<void> {
  const filter = filterOf(options);
  const { body } = options.cluster
    ? await client.download(gatewayOperations.audit.exportAll, filter)
    : await client.download(gatewayOperations.audit.export, { ...filter, project });
  const lines = createInterface({ input: Readable.fromWeb(body as ReadableStream), crlfDelay: Infinity });
  for await (const line of lines) output.item(JSON.parse(line), () => line);
}

function rowOf(entry: AuditRecord): (string | number | null)[] {
  const { at, key, operation, resource, address, attempts } = entry;
  return [at, key?.name ?? 'nobody', operation, resource, ending(entry), address, attempts];
}

function ending({ result, code }: AuditRecord): string {
  return code === null ? result : `${result}: ${code}`;
}
