/** Faults: a wrapper around any port that makes one of its calls fail, so that every I/O point fails once. */

export interface Fault {
  /** Which call of any method fails, counted from 1. */
  readonly call: number;
  readonly error?: Error;
  /** `after`: the call takes effect and its answer is lost, the harder case. */
  readonly when?: 'before' | 'after';
  /** Only calls of these methods count. */
  readonly methods?: readonly string[];
}

export interface FaultyPort<T> {
  readonly port: T;
  /** Calls counted so far. */
  readonly calls: number;
}

/** The port with one failing call. */
export function failing<T extends object>(port: T, fault: Fault): T {
  return faulty(port, fault).port;
}

/** Like {@link failing}, and tells how many calls were made. */
export function faulty<T extends object>(port: T, fault: Fault): FaultyPort<T> {
  const { error = new Error(`Injected fault at call ${fault.call}`), when = 'before', methods } = fault;
  const count = { calls: 0 };
  const wrapped = new Proxy(port, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (methods !== undefined && !methods.includes(String(key))) return value.bind(target);
      return (...all: unknown[]): unknown => {
        count.calls += 1;
        const call = () => Reflect.apply(value, target, all) as unknown;
        if (count.calls !== fault.call) return call();
        return when === 'before' ? fail(value, error) : failAfter(call(), error);
      };
    },
  });
  return {
    port: wrapped,
    get calls() {
      return count.calls;
    },
  };
}

/**
 * Runs the scenario once for each call it makes, with that call failing, until a run makes no call that could.
 * @param make makes a fresh port for each run
 * @param run gets the faulty port and must itself check that the state is sound, whether the scenario threw or not
 * @returns the number of calls that were made to fail
 */
export async function everyCallFailing<T extends object>(
  make: () => T | Promise<T>,
  run: (port: T, call: number) => Promise<void>,
  when: Fault['when'] = 'before',
): Promise<number> {
  for (let call = 1; ; call++) {
    const attempt = faulty(await make(), { call, when });
    await run(attempt.port, call);
    if (attempt.calls < call) return call - 1;
  }
}

function fail(method: { constructor: { name: string } }, error: Error): unknown {
  if (method.constructor.name === 'AsyncFunction') return Promise.reject(error);
  throw error;
}

function failAfter(result: unknown, error: Error): unknown {
  if (result instanceof Promise) return result.then(() => Promise.reject(error));
  throw error;
}
