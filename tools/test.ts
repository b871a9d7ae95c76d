/**
 * `npm test`: installs what the tests need, runs every tier and closes with one line that counts.
 *
 *   npm test                     all tiers
 *   npm test -- unit int         some of them
 *   npm test -- int -- storage   the tests of a tier whose path matches
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, freemem, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildReleases } from './build/releases.ts';
import { failuresOf, type TestFile } from './failures.ts';
import { complaintsIn } from './kept-logs.ts';
import { ensureServers } from './servers/ensure.ts';

const wholeSystem = ['e2e', 'chaos'];
const workersMost = 2;
/** Of a whole Alto, its apps and the clients that load it. */
const altoBytes = 3 * 2 ** 30;
const tiers = ['tidy', 'unit', 'int', ...wholeSystem];

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numFailedTestSuites: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly (TestFile & { readonly startTime: number; readonly endTime: number })[];
}

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const words = process.argv.slice(2);
const split = words.indexOf('--');
const patterns = split < 0 ? [] : words.slice(split + 1);
const chosen = (split < 0 ? words : words.slice(0, split)).filter((word) => tiers.includes(word));

const folder = mkdtempSync(join(tmpdir(), 'alto-test-'));
const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
/** Where tests that fail leave the logs of their servers. */
const keptLogs = join(tmpdir(), 'alto-test-logs');
const complaints = new Set<string>();
try {
  const servers = await ensureServers({ report: (line) => console.log(line) });
  // Behind what is there: the folder of a server can hold an older Node, too.
  const path = [process.env['PATH'], ...servers.map((server) => dirname(server.path))].join(delimiter);
  const environment = { ALTO_SEED: '1', ...process.env, PATH: path };
  for (const tier of chosen.length > 0 ? chosen : tiers) await runTier(tier, environment);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (complaints.size > 0) console.log(`\n── their servers said (${keptLogs}) ──\n${[...complaints].join('\n')}`);
if (failures.length > 0) console.log(`\n── failed ──\n${failures.join('\n')}\n`);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;

/** A file of a whole-system tier brings up an Alto of its own, and waits most of the time: two go side by side if there is room. */
function workersOf(tier: string): number {
  if (!wholeSystem.includes(tier)) return workersMost;
  return Math.max(1, Math.min(workersMost, availableParallelism(), Math.floor(freemem() / altoBytes)));
}

async function runTier(tier: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const report = join(folder, `${tier}.json`);
  // Once, and not in each worker at the same time.
  if (wholeSystem.includes(tier)) await buildReleases();
  console.log(`\n── ${tier} ──`);
  const started = Date.now();
  const args = [
    `--selectProjects=${tier}`,
    `--maxWorkers=${workersOf(tier)}`,
    '--json',
    `--outputFile=${report}`,
    '--passWithNoTests',
    // A test that has failed may leave clients at work; they must not keep the others from being reported.
    ...(wholeSystem.includes(tier) ? ['--forceExit'] : []),
    '--',
    ...patterns,
  ];
  const code = await jest(args, environment);
  const counted = count(report);
  if (code !== 0 && counted.failed === 0) {
    counted.failed = 1;
    failures.push(`✕ ${tier}: Jest ended with code ${code} and reported no failed test`);
  }
  totals.passed += counted.passed;
  totals.skipped += counted.skipped;
  totals.failed += counted.failed;
  console.log(
    `── ${tier}: ${counted.passed} passed, ${counted.failed} failed in ${Math.round((Date.now() - started) / 1000)} s`,
  );
}

function jest(args: string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const tool = fileURLToPath(new URL('./jest.ts', import.meta.url));
  const child = spawn(process.execPath, [tool, ...args], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

/** A suite that could not even run counts as one failed test: nothing may vanish from the sum. */
function count(path: string): Totals {
  let report: JestReport;
  try {
    report = JSON.parse(readFileSync(path, 'utf8')) as JestReport;
  } catch (error) {
    failures.push(`✕ Jest left no report: ${(error as Error).message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  failures.push(...failuresOf(report.testResults, root));
  const failed = report.testResults.filter(({ status }) => status === 'failed');
  for (const { startTime, endTime } of failed) {
    for (const line of complaintsIn(keptLogs, startTime, endTime)) complaints.add(line);
  }
  for (const { name, assertionResults } of report.testResults) {
    for (const { status, fullName } of assertionResults) {
      if (status === 'pending' || status === 'todo') console.log(`skipped: ${fullName} (${name})`);
    }
  }
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + report.numRuntimeErrorTestSuites,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}
