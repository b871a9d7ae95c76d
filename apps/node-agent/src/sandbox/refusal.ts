/** Whether apps are started in what this machine has for a sandbox, and what to do where they are not. Pure. */
import type { SandboxLevel, SandboxPolicy } from './level';

export interface SandboxFindings {
  policy: SandboxPolicy;
  level: SandboxLevel;
  /** Why it is no more than that. */
  reason: string | null;
  /** As `process.platform`. */
  platform: string;
  hasBubblewrap: boolean;
  /** Whether this machine has a program. */
  has: (program: string) => boolean;
}

/** By the package manager that is there. */
const INSTALL_COMMANDS: readonly [packageManager: string, command: string][] = [
  ['apt-get', 'sudo apt-get update && sudo apt-get install bubblewrap'],
  ['dnf', 'sudo dnf install bubblewrap'],
  ['apk', 'sudo apk add bubblewrap'],
  ['pacman', 'sudo pacman -S bubblewrap'],
  ['zypper', 'sudo zypper install bubblewrap'],
];

const ALLOW = 'ALTO_SANDBOX=optional lets apps run without one, with all that the user of Alto may do';

/** @returns why no app is started here and what to do, in words; null where apps are started */
export function refusalOf(findings: SandboxFindings): string | null {
  const { policy, level, reason } = findings;
  if (policy === 'required' && level !== 'sandboxed')
    return `Apps may only run sandboxed here (ALTO_SANDBOX=required), and this machine cannot: ${reason}.`;
  if (policy !== 'auto' || level !== 'none') return null;
  const remedy = remedyOf(findings);
  return `Apps are not started without a sandbox, and this machine has none: ${reason}. ${remedy}; then start Alto anew (\`alto down\`, \`alto up\`).`;
}

function remedyOf({ platform, hasBubblewrap, has }: SandboxFindings): string {
  if (platform !== 'linux') return ALLOW;
  if (hasBubblewrap) return `docs/runbooks/app-sandbox.md says what it needs; or ${ALLOW}`;
  const known = INSTALL_COMMANDS.find(([packageManager]) => has(packageManager));
  return `Install ${known === undefined ? 'the package bubblewrap' : `it with \`${known[1]}\``}; or ${ALLOW}`;
}
