/** Readiness checks, made from this machine alone: no other service is asked whether a workload is well. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Readiness, Workload } from './workload';

const TIMEOUT_MS = 2_000;

/** Null when ready, else what is missing in words. Never rejects. */
export type CheckReadiness = (workload: Workload) => Promise<string | null>;

export const checkReadiness: CheckReadiness = async (workload) => {
  try {
    return await check(workload.readiness, workload);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

async function check(readiness: Readiness, workload: Workload): Promise<string | null> {
  switch (readiness.kind) {
    case 'none':
      return null;
    case 'file':
      return existsSync(readiness.path) ? null : `${readiness.path} is not there yet`;
    case 'tcp':
      return checkConnection({ host: readiness.host, port: readiness.port }, readiness.timeoutMs);
    case 'unix':
      return checkConnection({ path: readiness.socketPath }, readiness.timeoutMs);
    case 'http': {
      const { hostname, port, pathname, search } = new URL(readiness.url);
      return checkHttp({ host: hostname, port, path: pathname + search }, readiness.timeoutMs);
    }
    case 'http-socket':
      return checkHttp({ socketPath: readiness.socketPath, path: readiness.path }, readiness.timeoutMs);
    case 'exec':
      return checkExec(readiness, workload);
  }
}

function checkHttp(
  target: { host?: string; port?: string; socketPath?: string; path: string },
  timeoutMs: number = TIMEOUT_MS,
): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  // A connection of its own for each check: one kept alive would say nothing about new clients.
  const call = request({ ...target, agent: false, headers: { 'user-agent': 'alto-readiness' } }, (response) => {
    response.resume();
    const status = response.statusCode ?? 0;
    resolve(status >= 200 && status < 400 ? null : `${target.path} answered ${status}`);
  });
  // In all: a timeout of the call's own begins once it is connected, and anew with each byte.
  const late = () => call.destroy(new Error(`${target.path} did not answer within ${timeoutMs} ms`));
  const timer = setTimeout(late, timeoutMs);
  call.on('error', (error) => resolve(inWords(error)));
  call.on('close', () => clearTimeout(timer));
  call.end();
  return promise;
}

function checkConnection(
  target: { host: string; port: number } | { path: string },
  timeoutMs: number = TIMEOUT_MS,
): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect(target);
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
  socket.on('connect', () => {
    resolve(null);
    socket.destroy();
  });
  socket.on('error', (error) => resolve(inWords(error)));
  return promise;
}

function inWords(error: NodeJS.ErrnoException & { address?: string; port?: number }): string {
  if (error.code !== 'ECONNREFUSED' || error.port === undefined) return `Not ready: ${error.message}`;
  return `Not ready: nothing listens on ${error.address}:${error.port} yet`;
}

function checkExec(
  { argv, env, timeoutMs = TIMEOUT_MS }: Extract<Readiness, { kind: 'exec' }>,
  workload: Workload,
): Promise<string | null> {
  const [program = '', ...rest] = argv;
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const options = {
    env: { ...workload.env, ...env },
    timeout: timeoutMs,
    killSignal: 'SIGKILL' as const,
    ...workload.user,
  };
  execFile(program, rest, options, (error, _stdout, stderr) => {
    resolve(error ? `${program} failed: ${stderr.trim().slice(0, 300) || error.message}` : null);
  });
  return promise;
}
