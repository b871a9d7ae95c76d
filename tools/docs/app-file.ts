/** `alto.yaml` for people and for editors, from the schema that the command reads it by. */
import type { JsonSchema } from '@alto/contracts';
import { z } from 'zod';
import { appFileSchema } from '../../apps/cli/src/deploy/app-file';

const example = `
name: shop
hosts: [shop.example.com]
command: [node, server.mjs]
env: { LOG_LEVEL: info }
replicas: 3
readiness: { path: /healthz }
resources: { cpuMillis: 250, memoryBytes: 134217728 }
stop: { graceMs: 10000 }
`.trim();

const introduction = `# alto.yaml

Generated from the sources by \`npm run docs\`.

\`alto deploy <folder>\` reads \`alto.yaml\` in that folder, packs the folder's files (without what \`.gitignore\` and
\`.altoignore\` name) and runs it. Only \`command\` is required.

\`\`\`yaml
# yaml-language-server: $schema=../alto/docs/alto-yaml.schema.json
EXAMPLE
\`\`\`

[\`alto-yaml.schema.json\`](alto-yaml.schema.json) is its JSON schema: editors that speak it complete and check the file.
The command reads the file by the same schema and names every fault in it before anything is uploaded. Except for
\`name\` and \`hosts\`, the keys are those of \`PUT /v1/projects/{project}/apps/{app}\`.

## What an app is given

| Variable | What it holds |
| --- | --- |
| \`PORT\`, \`HOST\` | the port to listen on, and the address |
| \`PORT_METRICS\` | with \`ports: [http, metrics]\`: a further port, which \`alto apps show\` lists and no route leads to |
| \`ALTO_API_URL\`, \`ALTO_APPS_URL\`, \`ALTO_S3_URL\` | where the app finds the API, other apps and S3: not on its own loopback |
| \`ALTO_APP\`, \`ALTO_PROJECT\` | the app's name, and the id of its project |
| \`ALTO_INSTANCE\` | the id of this instance, as \`alto apps show\` lists it |
| \`ALTO_REVISION\` | the number of the revision that it runs |
| those of \`env\` and \`secrets\` | what was given |

On the signal to stop (\`stop.signal\`) the app is already out of the load balancer: it finishes what it has begun and
ends. What still runs after \`stop.graceMs\` is killed.

## Workers

An app with \`ports: []\`, or with others than \`http\` alone, is a worker: it is given no \`PORT\`, no host name leads to it
(one that does answers 503), and nobody asks it whether it is ready. It counts as ready while it runs; \`healthyMs\` of that
prove a new version. \`liveness\` and \`readiness.path\` are refused for it.

## What an app may take

All processes of an instance together have \`resources.memoryBytes\` of memory, swap included. One that wants more is
killed, and its status says \`out of memory\`. \`resources.cpuMillis\` is what an instance has for sure; what nobody else
wants it may take up to one CPU (\`ALTO_INSTANCE_CPU_BURST_MILLIS\`). It may have 512 processes and threads
(\`ALTO_INSTANCE_PROCESSES_MAX\`). These limits need control groups that the agent may write, as root has them;
\`alto doctor\` says what a machine cannot bound.

## What an app sees

On a machine that can (\`alto nodes\` shows \`sandboxed\`), an app has a user, files, processes and a network of its own.
Its folder is \`/app\`, where it is started; \`/tmp\` and \`HOME\` are its own as well; all three are made anew for each run.
\`/usr\` and what programs need of \`/etc\` are there to be read. It reaches the internet, and of this machine the public
ports of the load balancer alone; other apps are reached through it. An app that must run on such a machine asks for it:
\`constraints: [{ label: alto.sandbox, equals: sandboxed }]\`.

## When a new version is bad

A rollout goes back by itself when an instance of the new version crashes three times (a canary: once), is not ready
in time, or answers badly. The load balancer counts how each instance answers; a 5xx, an answer that is none and a cut
connection are failures, whatever the readiness path says.

- \`strategy: canary\`: at each step, the new version must not fail \`checks.errorRatePercentMax\` percentage points more
  of its requests than the old one does meanwhile. It is judged once it has had \`checks.requestsMin\` of them in the
  step, and with few requests only where chance cannot explain the difference. 100 turns the check off. With fewer
  requests than that, a step is passed by health alone.
- \`rolling\` and \`blue-green\`: an instance that fails most of its requests while the old version does not, or gets none
  any more, ends the rollout. After a blue-green switch the old instances stay for \`healthyMs\`, so that requests can go back to them at
  once.

Proxies tell how instances answer each second while such a rollout runs. After a blue-green switch every user meets a
bad version for about as long: one that answered all of 90 requests a second with 500 was taken back after 0.5 to 1.7 s,
in which 46 to 150 requests failed (five runs on a busy machine with two processors). Who cannot afford that rolls out
as a canary.

\`\`\`yaml
strategy:
  kind: canary
  steps: [{ weight: 5, holdMs: 120000 }, { weight: 50, holdMs: 120000 }]
  checks: { errorRatePercentMax: 0.5, requestsMin: 200 }
\`\`\`

## Keys`;

export function appFileSchemaText(): string {
  return JSON.stringify({ $id: 'alto-yaml.schema.json', title: 'alto.yaml', ...schemaOfAppFile() });
}

export function appFilePage(): string {
  const rows = rowsOf(schemaOfAppFile());
  return [
    introduction.replace('EXAMPLE', example),
    ['| Key | Type | Default | |', '| --- | --- | --- | --- |', ...rows].join('\n'),
  ].join('\n\n');
}

function schemaOfAppFile(): JsonSchema {
  return z.toJSONSchema(appFileSchema, { io: 'input' }) as JsonSchema;
}

/** A row for each key, those of an object below it as `object.key`; of alternatives each key once. */
function rowsOf(schema: JsonSchema, prefix = ''): string[] {
  const rows = Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>).flatMap(([key, value]) => {
    const required = ((schema['required'] ?? []) as string[]).includes(key) && prefix === '' ? 'required' : '';
    return [row(`${prefix}${key}`, value, required), ...rowsBelow(`${prefix}${key}`, value)];
  });
  return [...new Set(rows)];
}

function rowsBelow(key: string, schema: JsonSchema): string[] {
  const alternatives = alternativesOf(schema);
  if (alternatives.length > 0) return [...new Set(alternatives.flatMap((each) => rowsBelow(key, each)))];
  const items = schema['items'] as JsonSchema | undefined;
  if (items?.['properties'] !== undefined) return rowsOf(items, `${key}[].`);
  return rowsOf(schema, `${key}.`);
}

function row(key: string, schema: JsonSchema, required: string): string {
  const fallback = schema['default'];
  const isShown = fallback !== undefined && JSON.stringify(fallback) !== '{}';
  const shown = isShown ? `\`${JSON.stringify(fallback)}\`` : required;
  const text = typeof schema['description'] === 'string' ? schema['description'] : '';
  return `| \`${key}\` | ${typeOf(schema)} | ${shown} | ${text.replaceAll('|', '\\|')} |`;
}

function typeOf(schema: JsonSchema): string {
  if (schema['const'] !== undefined) return `\`${String(schema['const'])}\``;
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => `\`${String(value)}\``).join(' ');
  const alternatives = alternativesOf(schema);
  if (alternatives.length > 0) return [...new Set(alternatives.map(typeOf))].join(' or ');
  return typeof schema['type'] === 'string' ? schema['type'] : 'any';
}

function alternativesOf(schema: JsonSchema): JsonSchema[] {
  return (schema['anyOf'] ?? schema['oneOf'] ?? []) as JsonSchema[];
}
