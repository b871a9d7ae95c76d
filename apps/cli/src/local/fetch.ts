/** HTTP over unix sockets, for the agent and for the gateway when the proxy in front of it is down. */
import { existsSync } from 'node:fs';
import { Agent, fetch as undiciFetch } from 'undici';

/** A `fetch` that always goes through this socket; host and port of the URL do not matter. */
export function socketFetch(socketPath: string): typeof fetch {
  const dispatcher = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 });
  return (async (input: string, init: object) =>
    await undiciFetch(input, { ...init, dispatcher })) as unknown as typeof fetch;
}

/** Goes the public way, and through the gateway's own socket when nobody answers there. */
export function localFetch(gatewaySocketPath: string): typeof fetch {
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      if (!isRefused(error) || !existsSync(gatewaySocketPath)) throw error;
      return await socketFetch(gatewaySocketPath)(input, init);
    }
  };
}

function isRefused(error: unknown): boolean {
  const cause = (error as { cause?: { code?: string } }).cause;
  return cause?.code === 'ECONNREFUSED';
}
