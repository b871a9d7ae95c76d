/** What a route may say. Pure. */
import { AltoError, type InputOf, type loadBalancerOperations } from '@alto/contracts';
import type { RouteDetails } from '../traffic/known';

type PutInput = InputOf<typeof loadBalancerOperations.routes.put>;

/** What a route is told to do, as it is stored. */
export interface RouteContent {
  readonly host: string;
  readonly path: string;
  readonly app: string;
  readonly details: RouteDetails | null;
}

/** They belong to one connection, frame the message, or tell an app who asks: Alto and its proxy alone set them. */
const reservedHeaders = new Set([
  'alt-svc',
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'x-real-ip',
  'x-request-id',
]);
const reservedPrefixes = ['alto-', 'proxy-', 'sec-', 'x-forwarded-'];

/** @throws AltoError invalid_request naming the field */
export function contentOf({ host, path, app, apps, redirect, headers }: PutInput): RouteContent {
  if ([app, apps, redirect].filter((lead) => lead !== undefined).length !== 1) {
    throw invalid('app', 'exactly one of app, apps and redirect must be given');
  }
  if (apps !== undefined) checkShares(apps);
  if (redirect !== undefined) checkRedirect(redirect);
  if (headers !== undefined) checkHeaders(headers);
  const details = {
    ...(apps && { apps }),
    ...(redirect && {
      redirect: { ...redirect, to: redirect.keepPath ? redirect.to.replace(/\/$/, '') : redirect.to },
    }),
    ...(headers && { headers }),
  };
  const isPlain = Object.keys(details).length === 0;
  return { host, path, app: app ?? apps?.[0]?.app ?? '', details: isPlain ? null : details };
}

function checkShares(apps: NonNullable<RouteDetails['apps']>): void {
  if (new Set(apps.map(({ app }) => app)).size < apps.length) throw invalid('apps', 'each app may be named once');
  if (apps.every(({ weight }) => weight === 0)) throw invalid('apps', 'one app at least must have a weight above 0');
}

function checkRedirect({ to, keepPath }: NonNullable<RouteDetails['redirect']>): void {
  if (!to.startsWith('/') && !URL.canParse(to)) throw invalid('redirect.to', 'is not a URL');
  if (keepPath && /[?#]/.test(to)) throw invalid('redirect.to', 'may have no query or fragment when keepPath is set');
}

function checkHeaders(headers: NonNullable<RouteDetails['headers']>): void {
  for (const direction of ['request', 'response'] as const) {
    const { set, remove } = headers[direction];
    for (const name of [...Object.keys(set), ...remove]) {
      if (reservedHeaders.has(name) || reservedPrefixes.some((prefix) => name.startsWith(prefix))) {
        throw invalid(`headers.${direction}`, `${name} is not for routes to change`);
      }
    }
    const both = remove.find((name) => Object.hasOwn(set, name));
    if (both !== undefined) throw invalid(`headers.${direction}`, `${both} is both set and removed`);
  }
}

export function namesOfHeaders(details: RouteDetails | null, direction: 'request' | 'response'): string[] {
  const changes = details?.headers?.[direction];
  return changes === undefined ? [] : [...Object.keys(changes.set), ...changes.remove];
}

function invalid(field: string, what: string): AltoError {
  return new AltoError('invalid_request', { message: `${field}: ${what}`, field });
}
