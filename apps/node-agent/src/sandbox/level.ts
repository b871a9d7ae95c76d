/** How far apps are walled in on this machine: each level has a name that people meet in statuses and in the doctor. */

/**
 * sandboxed   own user, files, processes and network
 * restricted  own files and processes, and as root its own user; the machine's network
 * none        a process like any other of the agent's user
 */
export type SandboxLevel = 'sandboxed' | 'restricted' | 'none';

export interface SandboxStatus {
  level: SandboxLevel;
  /** Why it is no more than that; null for the strongest. */
  reason: string | null;
  /** What of memory, CPU and number of processes the machine cannot bound. */
  unbounded: readonly string[];
}

/** What ALTO_SANDBOX says. `required` runs no app on less than the strongest. */
export type SandboxPolicy = 'auto' | 'required' | 'off';
