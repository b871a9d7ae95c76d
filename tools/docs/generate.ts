/** The texts that are generated from the contracts and from the services' configuration. */
import {
  allEvents,
  allOperations,
  breakingChanges,
  type ContractSnapshot,
  errorCatalogue,
  type JsonSchema,
  type OperationSnapshot,
  serviceNames,
  snapshotContracts,
} from '@alto/contracts';
import { appFilePage, appFileSchemaText } from './app-file';
import { configurations } from './configurations';
import { z } from 'zod';

export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/** @param goldenText the golden contracts as they stand, if any */
export function generatedFiles(goldenText: string | undefined): { files: GeneratedFile[]; problems: string[] } {
  const current = snapshotContracts(allOperations, allEvents);
  const problems = goldenText === undefined ? [] : breakingChanges(JSON.parse(goldenText) as ContractSnapshot, current);
  const files = [
    { path: 'libs/contracts/contracts.golden.json', text: JSON.stringify(current) },
    { path: 'docs/api.md', text: apiReference(current) },
    { path: 'docs/configuration.md', text: configurationReference() },
    { path: 'docs/app-file.md', text: appFilePage() },
    { path: 'docs/alto-yaml.schema.json', text: appFileSchemaText() },
  ];
  return { files, problems };
}

const requestTerms = `Answers that show one resource carry its version as \`ETag\`; in a list, what can be changed carries it as \`version\`. None
have what a key asks of itself (\`whoami\`), counts of use, which are made when they are asked for, and rollouts, which
Alto alone changes. With \`If-Match\` a change is made to that version alone, else it is refused with \`412\`;
\`If-None-Match: *\` lets a \`PUT\` create and never replace. The comparison is made where the change is, in the same
transaction. A \`POST\` that answers \`201\` makes something new and never replaces what is there: it takes no condition.

\`dryRun=true\` answers \`200\` as if the change were made, and makes none. All changes take it but the making of NATS
credentials, where what a trial shows would let its reader in.

A \`POST\` with an \`Idempotency-Key\` is done once: repetitions within 24 hours get the first answer, with
\`Idempotency-Replayed: true\`; another request under the same key gets \`422\`, and one that comes while the first is still
worked on waits, or gets \`409\` \`request_in_progress\`. An upload is sent whole each time, so that its content can be
compared by its SHA-256; the same content gives the same bundle in any case. An upload that was refused before all of it
had come may be sent again with other content.`;

function apiReference({ operations, events }: ContractSnapshot): string {
  const all = Object.values(operations);
  const sections = serviceNames.map((service) => {
    const own = all.filter((each) => each.service === service && each.http !== undefined);
    return own.length === 0 ? '' : [`## ${service}`, ...own.map(operationSection)].join('\n\n');
  });
  const errorRows = Object.entries(errorCatalogue).map(
    ([code, { status, title, retryable }]) => `| \`${code}\` | ${status} | ${title} | ${retryable ? 'yes' : 'no'} |`,
  );
  const eventRows = Object.values(events).map(({ type, summary }) => `| \`${type}\` | ${summary} |`);
  return [
    '# API reference',
    'Generated from `libs/contracts` by `npm run docs`. A running Alto serves the same as OpenAPI 3.1 at `/v1/openapi.json` and as a page at `/docs`.',
    requestTerms,
    ...sections.filter((section) => section !== ''),
    '## Events',
    ['| Type | When |', '| --- | --- |', ...eventRows].join('\n'),
    '## Errors',
    'Every error is `application/problem+json` (RFC 9457) with one of these as `code`.',
    ['| Code | Status | Meaning | Trying again can help |', '| --- | --- | --- | --- |', ...errorRows].join('\n'),
  ].join('\n\n');
}

function operationSection(operation: OperationSnapshot): string {
  const { http, summary, permission, input, errors } = operation;
  const fields = Object.entries((input['properties'] ?? {}) as Record<string, JsonSchema>);
  const required = (input['required'] ?? []) as string[];
  const rows = fields.map(
    ([name, schema]) =>
      `| \`${name}\` | ${typeOf(schema)} | ${required.includes(name) ? 'yes' : ''} | ${textOf(schema)} |`,
  );
  return [
    `### ${http?.method} ${http?.path}`,
    [
      `${summary}. Permission: \`${permission}\`.`,
      ...(errors.length > 0 ? [`Errors of its own: ${errors.map((code) => `\`${code}\``).join(', ')}.`] : []),
      ...takes(operation),
    ].join(' '),
    ...(rows.length > 0 ? [['| Field | Type | Required | |', '| --- | --- | --- | --- |', ...rows].join('\n')] : []),
  ].join('\n\n');
}

/** What a request may say beside its input. */
function takes({ http, precondition, dryRun }: OperationSnapshot): string[] {
  const isNamed = http?.method === 'POST';
  const names = [
    ...(precondition === 'optional' ? ['`If-Match`'] : []),
    ...(isNamed ? ['`Idempotency-Key`'] : []),
    ...(dryRun ? ['`dryRun`'] : []),
  ];
  return [
    ...(precondition === 'required' ? ['Requires `If-Match`, or `If-None-Match: *`.'] : []),
    ...(names.length > 0 ? [`Takes ${names.join(', ')}.`] : []),
  ];
}

function configurationReference(): string {
  const [everyService, ...services] = configurations;
  const known = new Set(Object.keys(everyService?.shape ?? {}));
  const sections = [everyService, ...services].flatMap((configuration) => {
    if (configuration === undefined) return [];
    const { title, shape } = configuration;
    const own = Object.entries(shape).filter(([name]) => configuration === everyService || !known.has(name));
    if (own.length === 0) return [];
    const rows = own.map(([name, schema]) => settingRow(name, schema));
    return [`## ${title}`, ['| Variable | Type | Default | |', '| --- | --- | --- | --- |', ...rows].join('\n')];
  });
  return [
    '# Configuration',
    'Generated from the sources by `npm run docs`. Settings are environment variables, read once at the start; all problems are reported together, and nothing starts while there is one.',
    ...sections,
  ].join('\n\n');
}

function settingRow(name: string, schema: z.ZodType): string {
  const json = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as JsonSchema;
  const fallback = json['default'];
  const shown =
    name === 'ALTO_SERVICE_INSTANCE'
      ? 'random'
      : fallback === undefined || fallback === ''
        ? ''
        : `\`${String(fallback)}\``;
  return `| \`${name}\` | ${typeOf(json)} | ${shown} | ${schema.description ?? ''} |`;
}

function typeOf(schema: JsonSchema): string {
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => `\`${String(value)}\``).join(' ');
  return typeof schema['type'] === 'string' ? schema['type'] : 'any';
}

function textOf(schema: JsonSchema): string {
  const text = typeof schema['description'] === 'string' ? schema['description'] : '';
  const fallback = schema['default'];
  return [text, fallback === undefined ? '' : `Default \`${JSON.stringify(fallback)}\`.`]
    .filter(Boolean)
    .join('. ')
    .replaceAll('|', '\\|');
}
