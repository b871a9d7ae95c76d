/** HTTP over unix sockets, for the agent and for the gateway when the proxy in front of it is down. */
import { Agent, fetch as undiciFetch } from 'undici';

/** A `fetch` that always goes through this socket; host and port of the URL do not matter. */
export function socketFetch(socketPath: string): typeof fetch {
  const dispatcher = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 });
  return (async (input: string, init: object) =>
    await undiciFetch(input, { ...init, dispatcher })) as unknown as typeof fetch;
}

/** Goes the public way, and through a gateway's own socket when nobody answers there. */
export function localFetch(gatewaySockets: () => readonly string[]): typeof fetch {
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      if (!isRefused(error)) throw error;
      return await firstThatAnswers(gatewaySockets(), error, (socket) => socketFetch(socket)(input, init));
    }
  };
}

/** An instance that was killed leaves its socket behind. */
async function firstThatAnswers(
  sockets: readonly string[],
  problem: unknown,
  ask: (socket: string) => Promise<Response>,
): Promise<Response> {
  for (const socket of sockets) {
    try {
      return await ask(socket);
    } catch (error) {
      if (!isRefused(error)) throw error;
    }
  }
  throw problem;
}

function isRefused(error: unknown): boolean {
  const cause = (error as { cause?: { code?: string } }).cause;
  return cause?.code === 'ECONNREFUSED';
}
