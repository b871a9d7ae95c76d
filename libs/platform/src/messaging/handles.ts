/** Decorators that bind a controller's method to an operation. */
import {
  applyDecorators,
  type ArgumentsHost,
  Catch,
  type RpcExceptionFilter,
  SetMetadata,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import type { InputOf, Operation, OutputOf } from '@alto/contracts';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { type Observable, throwError } from 'rxjs';
import type { CallContext } from './call-context';
import { HttpCallInterceptor } from './http-call';

/** Nest hands handlers to transports with the same id only. */
export const altoTransport = Symbol('alto-nats');

type Handler<O extends Operation> = (input: InputOf<O>, call: CallContext) => Promise<OutputOf<O>> | OutputOf<O>;

type HandlerDecorator<O extends Operation> = <M extends Handler<O>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** Nest would turn what a handler throws into an opaque message: the transport decides what an error means. */
@Catch()
class PassOn implements RpcExceptionFilter {
  catch(error: unknown, _host: ArgumentsHost): Observable<never> {
    return throwError(() => error);
  }
}

const passOn = new PassOn();

/**
 * The method serves the operation. It gets the validated input and the {@link CallContext}, and returns the output.
 * A method of other types does not compile.
 */
export function Handles<O extends Operation>(operation: O): HandlerDecorator<O> {
  return (target, key, descriptor) => {
    Payload()(target, key, 0);
    Ctx()(target, key, 1);
    applyDecorators(MessagePattern(operation.subject, altoTransport, { operation }), UseFilters(passOn))(
      target,
      key,
      descriptor,
    );
  };
}

export const operatesKey = 'alto:operates';

/**
 * The HTTP route serves an upload or a download. Use it with `@UseGuards(HttpCallerGuard)`, which checks the caller and
 * the input; the route reads `request.call` and `request.operationInput` (see `OperationRequest`).
 */
export function Operates(operation: Operation): MethodDecorator {
  return applyDecorators(SetMetadata(operatesKey, operation), UseInterceptors(HttpCallInterceptor));
}
