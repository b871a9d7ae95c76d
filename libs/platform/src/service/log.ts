/** Structured logs: one JSON object a line on standard output, with the trace of the call that was being served. */
import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, pino } from 'pino';

/** Values under these keys never reach the log, at any depth up to two. */
const secretKeys = [
  'authorization',
  'apiKey',
  'key',
  'password',
  'secret',
  'seed',
  'token',
  'callerToken',
  'databaseUrl',
];

type Fields = Record<string, unknown>;
type ContextSource = () => Fields | undefined;

export class Log {
  constructor(private readonly logger: Logger) {}

  debug(message: string, fields: Fields = {}): void {
    this.logger.debug(fields, message);
  }

  info(message: string, fields: Fields = {}): void {
    this.logger.info(fields, message);
  }

  warn(message: string, fields: Fields = {}): void {
    this.logger.warn(fields, message);
  }

  /** `fields.error` is logged with its stack and causes. */
  error(message: string, fields: Fields = {}): void {
    this.logger.error(fields, message);
  }

  /** The same log with fields of its own on every line. */
  child(fields: Fields): Log {
    return new Log(this.logger.child(fields));
  }
}

export interface LogOptions {
  readonly level: string;
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Fields of what is being done at the moment, such as the trace id. */
  readonly context?: ContextSource;
  /** Standard output unless given. */
  readonly destination?: DestinationStream;
}

export function createLog({ level, service, instance, version, context, destination }: LogOptions): Log {
  const options = {
    level,
    base: { service, instance, version },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.errWithCause },
    redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`]), censor: '[secret]' },
    mixin: () => context?.() ?? {},
  };
  return new Log(destination === undefined ? pino(options) : pino(options, destination));
}

/** Nest's own messages at debug level, its warnings and errors as they are. */
export class NestLog implements LoggerService {
  constructor(private readonly destination: Log) {}

  log(message: unknown, context?: unknown): void {
    this.destination.debug(String(message), { context });
  }

  warn(message: unknown, context?: unknown): void {
    this.destination.warn(String(message), { context });
  }

  error(message: unknown, stack?: unknown, context?: unknown): void {
    this.destination.error(String(message), { stack, context });
  }
}
