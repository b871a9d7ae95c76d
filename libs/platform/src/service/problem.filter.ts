import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { AltoError, type ErrorCode, errorCatalogue, toProblem } from '@alto/contracts';
import type { FastifyReply } from 'fastify';
import { Log } from './log';

/** Turns whatever an HTTP handler throws into `application/problem+json`; the undeclared is logged and becomes `internal`. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    private readonly log: Log,
    private readonly traceId: () => string | undefined,
  ) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = toAltoError(thrown);
    if (error.code === 'internal') this.log.error('A request failed in an undeclared way', { error: thrown });
    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    const problem = toProblem(error, error.traceId ?? this.traceId());
    // As bytes: to text Fastify would add a character set, which this type has none of.
    const body = Buffer.from(JSON.stringify(problem));
    void reply.status(problem.status).header('content-type', 'application/problem+json').send(body);
  }
}

/** Whatever was thrown as an error of the catalogue. Messages of unknown errors stay inside. */
export function toAltoError(thrown: unknown): AltoError {
  if (thrown instanceof AltoError) return thrown;
  const status = httpStatusOf(thrown);
  if (status === undefined || status >= 500) {
    return new AltoError('internal', {
      message: 'Something in Alto failed.',
      nextStep: 'Look for the trace id in the logs of the service.',
    });
  }
  const code = codeOfStatus(status);
  return new AltoError(code, thrown instanceof Error ? thrown.message : errorCatalogue[code].title);
}

function httpStatusOf(thrown: unknown): number | undefined {
  if (thrown instanceof HttpException) return thrown.getStatus();
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown)) return undefined;
  return typeof thrown.statusCode === 'number' ? thrown.statusCode : undefined;
}

function codeOfStatus(status: number): ErrorCode {
  const found = Object.entries(errorCatalogue).find(([, entry]) => entry.status === status);
  return (found?.[0] as ErrorCode | undefined) ?? 'invalid_request';
}
