/** All that the agent must not forget. Changes are made in memory and written together. */
import { desiredInstanceSchema, newId, type DesiredInstance } from '@alto/contracts';
import { z } from 'zod';
import type { MemoryStore } from '../workloads/supervisor';
import type { Replacement } from '../workloads/replacement.state';
import type { WorkloadMemory } from '../workloads/workload.state';
import { StateFile } from './state-file';

/** How long after a write that failed the next one is tried, where nothing else is to be written. */
const WRITE_AGAIN_MS = 1_000;

const memorySchema = z.object({
  restarts: z.number(),
  failures: z.number(),
  countedRun: z.number(),
  lastExit: z
    .object({ code: z.number().nullable(), signal: z.string().nullable(), cause: z.string().optional() })
    .nullable(),
  lastError: z.string().nullable(),
  notBeforeMs: z.number(),
  readyRun: z.number(),
  readySinceMs: z.number().nullable(),
  stopRun: z.number(),
  stopSentAtMs: z.number(),
  stopReason: z.string().nullable().default(null),
  digest: z.string().nullable(),
}) satisfies z.ZodType<WorkloadMemory>;

const placeSchema = z.object({
  level: z.enum(['sandboxed', 'restricted', 'none']),
  ip: z.string(),
});

const replacementSchema = z.object({
  from: z.string().nullable(),
  to: z.string().nullable(),
  waiting: z.array(z.number().int()),
  draining: z.number().int().nullable(),
}) satisfies z.ZodType<Replacement>;

const agentStateSchema = z.object({
  /** Of this machine in the cluster. */
  nodeId: z.string(),
  /** Highest that compute has sent; a lower one is from a reconciler that was replaced, or from a restored database. */
  generation: z.number().int(),
  fencingToken: z.number().int(),
  instances: z.array(desiredInstanceSchema),
  /** Main port of each instance, from its acceptance until it is truly gone. */
  ports: z.record(z.string(), z.number().int()),
  /** Those beside `http`, by instance and name, for as long. */
  furtherPorts: z.record(z.string(), z.record(z.string(), z.number().int())).default({}),
  /** The port given out last: the next search begins behind it, so that a port rests before it is used again. */
  lastPort: z.number().int(),
  /** How each instance that was started is walled in, and where it listens. */
  places: z.record(z.string(), placeSchema).default({}),
  /** Slots in which each static workload runs. */
  slots: z.record(z.string(), z.array(z.number().int())),
  /** How many instances of a static workload run, where that was chosen. */
  scales: z.record(z.string(), z.number().int().min(1)).default({}),
  /** Static workloads whose runs are being replaced, and how far that is. */
  replacements: z.record(z.string(), replacementSchema).default({}),
  /** Instances that are gone and whose logs are still kept, with the Unix milliseconds since when. */
  retired: z.record(z.string(), z.number()),
  memories: z.record(z.string(), memorySchema),
});
export type AgentState = z.infer<typeof agentStateSchema>;

export class AgentStateStore implements MemoryStore {
  private readonly file: StateFile<AgentState>;
  private readonly state: AgentState;
  /** The last write failed: memory knows more than the disk. */
  private isBehind = false;
  private again: NodeJS.Timeout | undefined;

  /** @throws StateFileError when there is a state that cannot be read. */
  constructor(
    path: string,
    private readonly onWriteFailed: (error: unknown) => void,
  ) {
    this.file = new StateFile({ path, schema: agentStateSchema, migrations: [] });
    this.state = this.file.load() ?? emptyState();
  }

  get current(): Readonly<AgentState> {
    return this.state;
  }

  /** Changes the state and resolves when that is on the disk: for what must be known before it is acted on. */
  async commit(change: (state: AgentState) => void): Promise<void> {
    change(this.state);
    await this.save();
  }

  /** Resolves when what a failed write has left undone is on the disk. @throws the disk's error while it cannot be */
  async catchUp(): Promise<void> {
    if (this.isBehind) await this.save();
  }

  /** Changes the state and writes it soon: for what the next look at the machine would find again. */
  note(change: (state: AgentState) => void): void {
    change(this.state);
    this.save().catch(this.onWriteFailed);
  }

  async flush(): Promise<void> {
    await this.file.flush();
  }

  get(id: string): WorkloadMemory | undefined {
    return this.state.memories[id];
  }

  set(id: string, memory: WorkloadMemory): void {
    this.note((state) => (state.memories[id] = memory));
  }

  desired(id: string): DesiredInstance | undefined {
    return this.state.instances.find((instance) => instance.id === id);
  }

  private async save(): Promise<void> {
    try {
      await this.file.save(this.state);
      this.isBehind = false;
    } catch (error) {
      this.isBehind = true;
      this.again ??= setTimeout(() => this.writeAgain(), WRITE_AGAIN_MS).unref();
      throw error;
    }
  }

  /** Where all is settled nothing is written for long, and the disk may have room again. */
  private writeAgain(): void {
    this.again = undefined;
    this.catchUp().catch(this.onWriteFailed);
  }
}

function emptyState(): AgentState {
  return {
    nodeId: newId('node'),
    generation: 0,
    fencingToken: 0,
    instances: [],
    ports: {},
    furtherPorts: {},
    lastPort: 0,
    places: {},
    slots: {},
    scales: {},
    replacements: {},
    retired: {},
    memories: {},
  };
}
