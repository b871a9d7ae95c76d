import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { finalize, Observable } from 'rxjs';
import { runInCall, ServedCall } from './call-context';

/** Runs a route that {@link HttpCallerGuard} has let through as a call: logs and calls to other services belong to it. */
@Injectable()
export class HttpCallInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { call } = context.switchToHttp().getRequest<{ call?: unknown }>();
    if (!(call instanceof ServedCall)) return next.handle();
    return new Observable((subscriber) =>
      runInCall(call, () =>
        next
          .handle()
          .pipe(finalize(() => call.finish()))
          .subscribe(subscriber),
      ),
    );
  }
}
