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
  /** Why no app is started on it and what to do, in words; null where apps are started. */
  refusal: string | null;
  /** What of memory, CPU and number of processes the machine cannot bound. */
  unbounded: readonly string[];
}

/** What ALTO_SANDBOX says: the least that apps are started on, or that nothing is walled in. */
export const sandboxPolicies = ['auto', 'required', 'optional', 'off'] as const;
export type SandboxPolicy = (typeof sandboxPolicies)[number];
