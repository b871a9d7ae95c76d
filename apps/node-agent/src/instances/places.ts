/**
 * Which sandbox and which address each instance has. An instance that runs keeps those it was started with, whatever
 * the machine allows after a restart of the agent.
 */
import type { WorkloadRuntime } from '../runtime/runtime';
import type { SandboxStatus } from '../sandbox/level';
import type { AgentState, AgentStateStore } from '../state/agent-state';
import type { Place } from './instance-workload';

type Recorded = AgentState['places'][string];

export interface PlacesOptions {
  sandbox: PlacingSandbox;
  state: Pick<AgentStateStore, 'current' | 'commit'>;
  /** Address of this machine, for instances without one of their own and for other machines. */
  machineIp: string;
}

/** What is asked of the sandbox. */
export interface PlacingSandbox {
  readonly status: SandboxStatus;
  readonly gateway: string | undefined;
  addressOf(port: number): string | undefined;
  release(port: number): Promise<void>;
}

export class Places<S extends PlacingSandbox = PlacingSandbox> {
  constructor(private readonly options: PlacesOptions & { sandbox: S }) {}

  get sandbox(): S {
    return this.options.sandbox;
  }

  /** That of the present run, or what the next one would get. */
  of(id: string, port: number): Place {
    const { sandbox, state, machineIp } = this.options;
    const { level, ip } = state.current.places[id] ?? this.present(port);
    return { level, ip, gateway: level === 'sandboxed' ? (sandbox.gateway ?? machineIp) : machineIp };
  }

  /** Where load balancers reach it. Other machines know this one's address alone. */
  reachedAt({ ip }: Place): string {
    const { machineIp } = this.options;
    return machineIp.startsWith('127.') ? ip : machineIp;
  }

  /** Why its sandbox is not the strongest, in words; null when it is. */
  weaknessOf({ level }: Place): string | null {
    const { status } = this.options.sandbox;
    const why = level === status.level && status.reason !== null ? `: ${status.reason}` : '';
    const unbounded = status.unbounded.length === 0 ? [] : [`without limits of ${status.unbounded.join(' and ')}`];
    const words = [
      ...(level === 'sandboxed' ? [] : [level === 'none' ? `not sandboxed${why}` : `${level}${why}`]),
      ...unbounded,
    ];
    return words.length === 0 ? null : words.join('; ');
  }

  /**
   * Gives the next run its place. @param changed called when that is another than before
   * @throws Error then: what is to run was made for the place before
   */
  async take(id: string, port: number, changed: () => void): Promise<void> {
    const { state } = this.options;
    const before = state.current.places[id];
    const now = this.present(port);
    if (before && before.level === now.level && before.ip === now.ip) return;
    await state.commit((current) => {
      current.places[id] = now;
    });
    if (!before) return;
    changed();
    throw new Error(`The sandbox of this machine is another one now (${now.level}): it is started with that`);
  }

  /** What has ended while no agent looked gets its place anew. */
  async forgetEnded(runtime: Pick<WorkloadRuntime, 'observe'>): Promise<void> {
    const { state } = this.options;
    for (const id of Object.keys(state.current.places)) {
      const { state: found } = await runtime.observe(id);
      if (found === 'none' || found === 'ended') await state.commit((current) => void delete current.places[id]);
    }
  }

  /** Once it is gone for good. */
  async leave(id: string, port: number | undefined): Promise<void> {
    const level = this.options.state.current.places[id]?.level;
    if (level === 'sandboxed' && port !== undefined) await this.options.sandbox.release(port);
  }

  private present(port: number): Recorded {
    const { sandbox, machineIp } = this.options;
    const ip = port === 0 ? undefined : sandbox.addressOf(port);
    return { level: sandbox.status.level, ip: ip ?? machineIp };
  }
}
