/** Projects made through the front door: empty ones, and ones that have one or two of everything. */
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { newId, operations, type Operation, projectRoles } from '@alto/contracts';
import { eventually } from '@alto/testing';
import { pack } from 'tar-stream';
import { exchange, type HttpAnswer, type Input, requestOf } from './exchange';
import type { Known } from './sample';

export type ProjectRole = (typeof projectRoles)[number];

export interface TestedProject {
  readonly id: string;
  readonly name: string;
  readonly keys: Readonly<Record<ProjectRole, string>>;
  /** What an input can name, by field: names for what there may be, ids of what there is. */
  readonly known: Known;
  /** Texts that only those who may enter the project may ever see. */
  readonly marks: readonly string[];
}

/** Makes projects as the operator. */
export class ProjectMaker {
  constructor(
    private readonly apiUrl: string,
    private readonly operatorKey: string,
  ) {}

  /** It has keys and nothing else. @param label names of its resources hold it; labels of one length give names of one length */
  async makeEmpty(label: string): Promise<TestedProject> {
    const tag = `${label}${randomBytes(5).toString('hex')}`;
    const name = `p-${tag}`;
    const { create } = operations.gateway.projects;
    const { id } = await this.call(create, { name, displayName: `shown ${tag}` }, this.operatorKey);
    const keys = {} as Record<ProjectRole, string>;
    const keyIds: string[] = [];
    for (const role of projectRoles) {
      const input = { project: name, name: `key ${tag}`, role };
      const made = await this.call(operations.gateway.keys.create, input, this.operatorKey);
      keys[role] = String(made['key']);
      keyIds.push(String(made['id']));
    }
    const known = {
      ...{ project: name, key: keyIds[0], app: `a-${tag}`, secret: `SECRET_${tag.toUpperCase()}`, route: `r-${tag}` },
      ...{ host: `h-${tag}.test`, topic: `t-${tag}`, index: `i-${tag}`, document: `d-${tag}`, q: 'found', rollout: 1 },
    };
    return { id: String(id), name, keys, known, marks: [tag, tag.toUpperCase(), String(id), ...keyIds] };
  }

  /** Of what lists show there are two, so that a page of one has a next. */
  async makeFull(label: string): Promise<TestedProject> {
    const project = await this.makeEmpty(label);
    const [tag = ''] = project.marks;
    const make = (operation: Operation, input: Input) =>
      this.call(operation, { ...pick(operation, project.known), ...input }, project.keys.admin);
    const bundles = [await this.upload(project, `one ${tag}`), await this.upload(project, `other ${tag}`)];
    const { compute, loadBalancer, notifications, search } = operations;
    const secrets = [String(project.known['secret'])];
    for (const nth of ['', '2']) {
      const [app, text] = [`a${nth}-${tag}`, `found ${tag}`];
      await make(compute.secrets.put, { secret: `${secrets[0]}${nth}`, value: `value ${tag}` });
      await make(compute.apps.put, { app, command: ['run', tag], bundle: bundles[0], env: { MARK: tag }, secrets });
      await make(loadBalancer.routes.put, { route: `r${nth}-${tag}`, host: `h${nth}-${tag}.test`, app });
      await make(search.documents.put, { document: `d${nth}-${tag}`, fields: { text } });
      await make(notifications.messages.publish, { topic: `t2-${tag}`, body: { tag } });
      await make(notifications.messages.publish, { body: { tag, nth } });
    }
    await make(compute.apps.put, { command: ['run', tag, 'again'], secrets });
    const instance = await eventually(async () => {
      const { items } = (await make(compute.instances.list, {})) as { items: { id: string; revision: number }[] };
      // That of the first revision goes when the second one is carried out.
      return items.length === 1 && items[0]?.revision === 2 && items[0].id;
    });
    const known = { ...project.known, bundle: bundles[0], instance };
    return { ...project, known, marks: [...project.marks, instance, ...bundles] };
  }

  private async upload({ name, keys }: TestedProject, content: string): Promise<string> {
    const { upload } = operations.storage.bundles;
    const sent = requestOf(upload, { project: name }, keys.admin, await archive(content));
    return String(answered(upload, await exchange(this.apiUrl, sent))['id']);
  }

  private async call(operation: Operation, input: Input, key: string): Promise<Record<string, unknown>> {
    return answered(operation, await exchange(this.apiUrl, requestOf(operation, input, key)));
  }
}

/** A value of the same shape that names nothing: same length, so that not even lengths differ. */
export function unknownLike(value: string): string {
  const [, prefix] = /^([a-z]+_)[0-9a-z]{26}$/.exec(value) ?? [];
  if (prefix !== undefined) return `${prefix}${newId('app').slice('app_'.length)}`;
  const random = randomBytes(5).toString('hex');
  const upper = value === value.toUpperCase();
  const plain = value.replace(/[0-9a-f]{10}(?![0-9a-f])/i, upper ? random.toUpperCase() : random);
  if (plain === value) throw new Error(`${value} has no random part to replace`);
  return plain;
}

function pick(operation: Operation, known: Known): Input {
  const required = Object.entries(operation.input.shape).filter(([, schema]) => !schema.safeParse(undefined).success);
  return Object.fromEntries(required.map(([field]) => [field, known[field]]));
}

function answered(operation: Operation, { status, text }: HttpAnswer): Record<string, unknown> {
  if (status >= 300) throw new Error(`${operation.name} answered ${status}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** A tar.gz of one file. */
export async function archive(content: string): Promise<Buffer> {
  const files = pack();
  files.entry({ name: 'content.txt' }, content);
  files.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of files) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
