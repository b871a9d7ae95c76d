/** Logs of test servers are removed with the servers, unless something failed. */
import { cpSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Block {
  tests: { errors: unknown[] }[];
  children: Block[];
}

/** Whether a test of the running file has failed; false outside Jest, which keeps its state under a symbol of its own. */
export function currentTestFailed(): boolean {
  const symbol = Object.getOwnPropertySymbols(globalThis).find((one) => one.description === 'JEST_STATE_SYMBOL');
  if (symbol === undefined) return false;
  const state = (globalThis as unknown as Record<symbol, { rootDescribeBlock: Block } | undefined>)[symbol];
  return state !== undefined && failed(state.rootDescribeBlock);
}

/** Copies the log to a folder that stays, and says where. */
export function keepLog(logFile: string, server: string): void {
  const folder = join(tmpdir(), 'alto-test-logs');
  mkdirSync(folder, { recursive: true });
  const kept = join(folder, `${server}.log`);
  cpSync(logFile, kept);
  process.stderr.write(`The log of ${server} is kept at ${kept}\n`);
}

function failed(block: Block): boolean {
  return (
    block.tests.some((test) => test.errors.length > 0) ||
    block.children.some((child) => Array.isArray(child.children) && failed(child))
  );
}
