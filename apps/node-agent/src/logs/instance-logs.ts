/** Pages of log lines of several instances, with one cursor for all of them. */
import { AltoError, type InputOf, type nodeAgentOperations, type OutputOf } from '@alto/contracts';
import type { LogCapability } from '../runtime/runtime';

type ReadLogs = typeof nodeAgentOperations.logs.read;

/** A page must fit into one NATS message. */
const PAGE_BYTES_MAX = 700_000;

export class InstanceLogs {
  constructor(private readonly logs: LogCapability) {}

  /** The lines of each instance are in order; those of different instances follow each other in blocks. */
  async read(input: InputOf<ReadLogs>): Promise<OutputOf<ReadLogs>> {
    const cursors = parseCursor(input.cursor);
    const lines: OutputOf<ReadLogs>['lines'] = [];
    let bytes = 0;
    const share = Math.max(1, Math.floor(input.lines / input.instances.length));
    for (const instance of input.instances) {
      if (lines.length >= input.lines || bytes > PAGE_BYTES_MAX) break;
      const linesMax = Math.min(share, input.lines - lines.length);
      const place = placeOf(instance);
      const chunk = await this.logs.read(instance, { cursor: cursors.get(place), linesMax });
      cursors.set(place, chunk.cursor);
      for (const line of chunk.lines) {
        lines.push({ instance, ...line });
        bytes += line.text.length + 100;
      }
    }
    return { lines, cursor: formatCursor(cursors, input.instances) };
  }
}

/** Short, so that the places of a hundred instances fit into one cursor. */
function placeOf(instance: string): string {
  return instance.slice(-8);
}

/** `<place>.<cursor of its log>~…`, of nobody else: a reader that follows outlives many instances. */
function formatCursor(cursors: ReadonlyMap<string, string>, instances: readonly string[]): string {
  return instances
    .map(placeOf)
    .flatMap((place) => (cursors.has(place) ? [`${place}.${cursors.get(place)}`] : []))
    .join('~');
}

function parseCursor(text: string | undefined): Map<string, string> {
  if (text === undefined || text === '') return new Map();
  if (!/^[\w-]+\.[0-9a-z]+(~[\w-]+\.[0-9a-z]+)*$/.test(text)) {
    throw new AltoError('invalid_request', { message: 'cursor is not one that was given out', field: 'cursor' });
  }
  return new Map(
    text.split('~').map((part) => {
      const [place = '', cursor = ''] = part.split('.');
      return [place, cursor];
    }),
  );
}
