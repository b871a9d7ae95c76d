/** Errors for people: what went wrong, and what to do next. */
import { AltoError, type ErrorCode, toProblem } from '@alto/contracts';
import type { Output } from './output';

export const exitCodes = {
  failed: 1,
  /** The command line, or alto.yaml. */
  usage: 2,
  refused: 3,
  notFound: 4,
  unavailable: 5,
  /** A change has failed, and what ran before runs again. */
  rolledBack: 6,
  interrupted: 130,
  /** As a shell tells of a program that SIGPIPE ended. */
  readerGone: 141,
} as const;

/** A failure that this command found by itself. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    message: string,
    readonly nextStep: string,
    readonly exitCode: number = exitCodes.failed,
  ) {
    super(message);
  }
}

/** Something does not answer at the moment: the same question may be answered later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof AltoError) return error.retryable;
  if (error instanceof CommandError) return error.exitCode === exitCodes.unavailable;
  return isBrokenConnection(error);
}

/** As `fetch` says it. By name: it may come from another realm, where it is no instance of this one's classes. */
function isBrokenConnection(error: unknown): boolean {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  return name === 'TypeError' && (message === 'terminated' || message === 'fetch failed');
}

/** Prints the error. @returns the exit code. */
export function explain(error: unknown, output: Output): number {
  if (error instanceof AltoError) {
    output.failure(toProblem(error), [describe(error), nextStepOf(error)]);
    return exitCodeOf(error);
  }
  const known = error instanceof CommandError ? error : (brokenConnection(error) ?? refusedByMachine(error));
  if (known !== undefined) {
    output.failure({ detail: known.message, nextStep: known.nextStep }, [known.message, known.nextStep]);
    return known.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  output.failure({ detail: text, nextStep: unexpected }, [`Something in this command failed: ${text}`, unexpected]);
  return exitCodes.failed;
}

function brokenConnection(error: unknown): CommandError | undefined {
  if (!isBrokenConnection(error)) return undefined;
  return new CommandError(
    'The connection broke off before the answer was complete.',
    'What was asked for may have been done or not: `alto status` says what runs. Then run the command again.',
    exitCodes.unavailable,
  );
}

/** What the machine answers in place of a file → what to do. */
const machineSteps: Readonly<Record<string, string>> = {
  EACCES: 'Give yourself the right to it, or name another place.',
  EPERM: 'Give yourself the right to it, or name another place.',
  EROFS: 'Name a place that can be written.',
  ENOSPC: 'Make room on the disk; `alto doctor` says how much is left.',
  EDQUOT: 'Make room: your quota of the disk is used up.',
  ENOENT: 'Look whether it is still there, and run the command again.',
  ENOTDIR: 'Remove the file that stands where a folder has to be, or name another place.',
  EISDIR: 'Remove the folder that stands where a file has to be, or name another place.',
  EMFILE: 'Let a process open more files (`ulimit -n`), and run the command again.',
  ENFILE: 'Close what is not needed: this machine has too many files open.',
  EIO: 'The disk cannot be read or written: look at what the machine says of it.',
};

function refusedByMachine(error: unknown): CommandError | undefined {
  const { code = '', message, path } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  const nextStep = machineSteps[code];
  if (nextStep === undefined || message === undefined) return undefined;
  const why = message.replace(`${code}: `, '').replace(/, \w+( '.*)?$/s, '');
  return new CommandError(`${path ?? 'A file'} cannot be read or written: ${why}.`, nextStep);
}

function describe(error: AltoError): string {
  const trace = error.traceId === undefined ? '' : ` (trace ${error.traceId})`;
  return `${error.message}${error.code === 'internal' ? trace : ''}`;
}

const unexpected =
  '`alto doctor` checks this machine. If it finds nothing, this is a fault of Alto: report it with this text.';

/** Where the API gives no next step. */
const nextSteps: Record<ErrorCode, string> = {
  invalid_request: 'Run the command with --help for what it takes.',
  unauthenticated: 'Log in with `alto login --url <url> --key <key>`.',
  forbidden: 'Ask an admin of the project for a key with a larger role.',
  not_found: '`alto apps list`, `alto routes list` and `alto projects list` show what there is.',
  method_not_allowed: 'The Alto that answers is of another version: `alto services` shows which.',
  request_timeout: 'Try again; the connection to Alto is slow.',
  conflict: 'Look at its present state with `alto apps list` and try again.',
  already_exists: 'Take another name, or change the one that is there.',
  stale_writer: 'Try again: another instance has taken over meanwhile.',
  request_in_progress: 'Wait a moment and try again: the answer of the first attempt is then repeated.',
  precondition_failed: 'Read it again and repeat the change.',
  precondition_required: 'Read it first and send its version along.',
  idempotency_key_reused: 'Give each request an idempotency key of its own.',
  too_large: 'Leave out what is not needed; a .altoignore file names what stays out of a bundle.',
  unsupported_media_type: 'The Alto that answers is of another version: `alto services` shows which.',
  checksum_mismatch: 'Try again: what arrived is not what was sent.',
  unprocessable: 'Correct what the message names and try again.',
  quota_exceeded: 'Remove what is no longer needed, or ask the operator for more.',
  headers_too_large: 'Log in again with `alto login`: the key may be damaged.',
  rate_limited: 'Wait a moment and try again.',
  internal: '`alto doctor` checks this machine; report the fault with its trace.',
  corrupt_data: '`alto doctor` checks this machine; report the fault with its trace.',
  overloaded: 'Wait a moment and try again; `alto status` shows what runs.',
  service_unavailable: '`alto status` and `alto doctor` say what is down.',
  insufficient_storage: 'Make room on the disk; `alto doctor` says how much is left.',
  timeout: 'Try again; `alto status` and `alto doctor` say what is slow or down.',
};

/** What the message misses → the command that lists those there are. */
const listed = [
  ...['app', 'route', 'project', 'key', 'node', 'service', 'secret'].map((noun) => [noun, `${noun}s list`] as const),
  ['revision', 'apps revisions <app>'] as const,
  ['rollout', 'rollouts <app>'] as const,
].map(([noun, words]) => [new RegExp(`\\bno (such )?${noun}\\b`), `\`alto ${words}\` shows those there are.`] as const);

/** A request of the API: nothing that one types here. */
const isForPrograms = (nextStep: string) =>
  /\b(GET|PUT|POST|DELETE) (…|\/)/.test(nextStep) && !nextStep.includes('`alto ');

function nextStepOf({ code, message, nextStep }: AltoError): string {
  if (nextStep !== undefined && !isForPrograms(nextStep)) return nextStep;
  return listed.find(([missing]) => missing.test(message))?.[1] ?? nextSteps[code];
}

/** What a request only names, such as the revision to go back to, makes it one that cannot be worked on. */
function namesMissing({ code, message }: AltoError): boolean {
  return code === 'unprocessable' && listed.some(([missing]) => missing.test(message));
}

function exitCodeOf(error: AltoError): number {
  const { code } = error;
  if (code === 'unauthenticated' || code === 'forbidden') return exitCodes.refused;
  if (code === 'invalid_request') return exitCodes.usage;
  if (code === 'not_found' || namesMissing(error)) return exitCodes.notFound;
  if (code === 'service_unavailable' || code === 'timeout' || code === 'overloaded') return exitCodes.unavailable;
  return exitCodes.failed;
}
