/**
 * Asks npm's registry whether a dependency has a known hole of severity high or worse.
 *
 *   node tools/safety/dependencies.ts
 *
 * Exit code: 0 none is known, 1 there are some, 3 the registry could not be asked, and nothing is known.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type Verdict =
  | { readonly kind: 'clean'; readonly dependencies: number }
  | { readonly kind: 'holes'; readonly packages: readonly string[] }
  | { readonly kind: 'unknown'; readonly reason: string };

interface AuditReport {
  readonly message?: string;
  readonly error?: { readonly summary?: string; readonly code?: string };
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string; readonly range: string }>>;
  readonly metadata?: { readonly dependencies?: { readonly total?: number } };
}

const severe = ['high', 'critical'];

/** What `npm audit --json` has printed. Whatever is no whole report is no answer. */
export function verdictOf(printed: string): Verdict {
  let report: AuditReport;
  try {
    report = JSON.parse(printed) as AuditReport;
  } catch {
    return { kind: 'unknown', reason: 'npm audit printed no report' };
  }
  const { vulnerabilities, metadata, message, error } = report;
  const dependencies = metadata?.dependencies?.total ?? 0;
  if (vulnerabilities === undefined || dependencies === 0) {
    return { kind: 'unknown', reason: message ?? (error?.summary || error?.code) ?? 'npm audit printed no report' };
  }
  const packages = Object.entries(vulnerabilities)
    .filter(([, { severity }]) => severe.includes(severity))
    .map(([name, { severity, range }]) => `${name} ${range} (${severity})`);
  return packages.length > 0 ? { kind: 'holes', packages } : { kind: 'clean', dependencies };
}

/** In words, with what to do. */
export function describe(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'clean':
      return `No known hole of severity high or worse in ${verdict.dependencies} dependencies.`;
    case 'holes':
      return `Known holes of severity high or worse:\n${verdict.packages.map((one) => `  ${one}`).join('\n')}\nRun npm audit, and update what it names.`;
    case 'unknown':
      return `NOT CHECKED: the registry could not be asked for known holes: ${verdict.reason}\nRun npm audit where it can be.`;
  }
}

const exitCodes = { clean: 0, holes: 1, unknown: 3 } as const;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { stdout } = spawnSync('npm', ['audit', '--json'], { encoding: 'utf8', maxBuffer: 64 << 20, timeout: 120_000 });
  const verdict = verdictOf(stdout ?? '');
  console.log(describe(verdict));
  process.exitCode = exitCodes[verdict.kind];
}
