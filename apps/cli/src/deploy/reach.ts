/** Whether a request reaches an app through the proxy of this machine. */
import { request } from 'node:http';

const patienceMs = 3_000;

export interface Place {
  /** Of the proxy on this machine. */
  port: number;
  host: string;
  path: string;
}

/**
 * Any answer of the app counts, also an error: only the proxy's own "no such host" and "nothing is ready" do not, which
 * it gives as problem documents.
 */
export function isReached({ port, host, path }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(
      { host: '127.0.0.1', port, path, headers: { host }, agent: false, timeout: patienceMs },
      (response) => {
        const isProxy = response.headers['content-type']?.startsWith('application/problem+json') === true;
        resolve(!(isProxy && (response.statusCode === 404 || response.statusCode === 503)));
        response.destroy();
      },
    );
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
    call.end();
  });
}
