/** Logs stay on the machines where they are written: each agent is asked for its part. */
import { Injectable } from '@nestjs/common';
import {
  AltoError,
  type computeOperations,
  type InputOf,
  type LogLine,
  logPageBytesMax,
  nodeAgentOperations,
  type OutputOf,
} from '@alto/contracts';
import { AltoClient, Clock, Database, Log } from '@alto/platform';
import { AppsService } from '../apps/apps.service';
import { InstancesService } from '../instances/instances.service';
import { decodePositions, encodePositions } from './log-cursor';
import { mergeLines } from './merge';

type Request = InputOf<typeof computeOperations.logs.read>;
type Page = OutputOf<typeof computeOperations.logs.read>;

/** Instances whose logs are merged at most; one of more can be named by itself. */
export const mergedInstancesMax = 50;
const agentTimeoutMs = 5_000;
const agentPatienceMs = 500;
const lastWordsMax = 20;
const lastWordsCharactersMax = 500;
/** The reconciler waits for it. */
const lastWordsTimeoutMs = 5_000;

interface Part {
  readonly node: string;
  readonly lines: readonly LogLine[];
  readonly before: string | undefined;
  readonly cursor: string | undefined;
}

/** What is asked of one machine: by the number of instances, each as much as any other. */
interface Share {
  readonly instances: string[];
  readonly lines: number;
  readonly bytes: number;
}

@Injectable()
export class LogsService {
  constructor(
    private readonly database: Database,
    private readonly apps: AppsService,
    private readonly instances: InstancesService,
    private readonly client: AltoClient,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Without a cursor the last lines; with one, what was written since. @throws AltoError not_found, invalid_request */
  async read(request: Request): Promise<Page> {
    const app = await this.apps.find(request);
    const before = decodePositions(request.cursor);
    const byNode = await this.instancesByNode(app.id, request.instance);
    const isTail = request.cursor === undefined;
    const count = [...byNode.values()].flat().length;
    // Lines that a cursor has passed are never read again, so each part is asked for no more than can be returned.
    const shareOf = (instances: readonly string[]) => ({
      lines: isTail ? request.lines : Math.max(1, Math.floor((request.lines * instances.length) / count)),
      bytes: Math.floor((logPageBytesMax * instances.length) / count),
    });
    const answers = await Promise.all(
      [...byNode].map(([node, instances]) => this.readPart(node, { instances, ...shareOf(instances) }, before[node])),
    );
    const parts = fitting(answers);
    const lines = mergeLines(parts.map((part) => part.lines));
    // Of nodes that have instances of the app alone: a reader that follows outlives many of both.
    const positions = parts.flatMap(({ node, cursor }) => (cursor === undefined ? [] : [[node, cursor] as const]));
    return {
      lines: isTail ? lines.slice(-request.lines) : lines,
      cursor: encodePositions(Object.fromEntries(positions)),
    };
  }

  /** What an instance said last, for people to read: nothing when its machine does not answer at once. */
  async lastWords(instance: string): Promise<string[]> {
    const node = await this.instances.nodeOf(this.database.manager, instance);
    if (node === null) return [];
    const options = { instance: node, timeoutMs: lastWordsTimeoutMs, patienceMs: 0 };
    try {
      const request = { instances: [instance], lines: lastWordsMax };
      const { lines } = await this.client.call(nodeAgentOperations.logs.read, request, options);
      return lines.slice(-lastWordsMax).map(({ text }) => text.slice(0, lastWordsCharactersMax));
    } catch (error) {
      this.log.info('The last log lines of a failing instance could not be read', { instance, error });
      return [];
    }
  }

  private async instancesByNode(app: string, only: string | undefined): Promise<Map<string, string[]>> {
    if (only !== undefined) return new Map([[await this.nodeOf(app, only), [only]]]);
    const byNode = new Map<string, string[]>();
    for (const { id, node } of await this.instances.placed(this.database.manager, app, mergedInstancesMax)) {
      if (node !== null) byNode.set(node, [...(byNode.get(node) ?? []), id]);
    }
    return byNode;
  }

  /** By its id, for it may be one of more than are merged, or have ended. @throws AltoError not_found */
  private async nodeOf(app: string, instance: string): Promise<string> {
    const node = await this.instances.nodeWithLog(this.database.manager, app, instance);
    if (node !== null) return node;
    const message = `The app has no instance ${instance} on a node, and none that has ended lately.`;
    throw new AltoError('not_found', { message, field: 'instance' });
  }

  /** A machine that does not answer costs its own lines only; the reader is told, and goes on where it was. */
  private async readPart(node: string, share: Share, cursor: string | undefined): Promise<Part> {
    const options = { instance: node, timeoutMs: agentTimeoutMs, patienceMs: agentPatienceMs };
    try {
      const page = await this.client.call(nodeAgentOperations.logs.read, { ...share, cursor }, options);
      return { node, lines: page.lines, before: cursor, cursor: page.cursor };
    } catch (error) {
      if (!(error instanceof AltoError) || !error.retryable) throw error;
      const text = `the agent of node ${node} does not answer, so these lines are missing: ${error.message}`;
      const notice: LogLine = {
        instance: share.instances[0] ?? node,
        stream: 'alto',
        time: this.clock.now().toISOString(),
        text,
      };
      return { node, lines: [notice], before: cursor, cursor };
    }
  }
}

/** An agent of before knows of no bytes: what would make the page too long for a message is read the next time. */
function fitting(parts: readonly Part[]): Part[] {
  let bytes = 0;
  return parts.map((part) => {
    const added = part.lines.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(part.lines));
    if (bytes > 0 && bytes + added > logPageBytesMax) return { ...part, lines: [], cursor: part.before };
    bytes += added;
    return part;
  });
}
