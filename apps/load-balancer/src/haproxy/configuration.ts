/** Layout and settings → the text of haproxy.cfg and of the maps. Pure; see configuration.spec.ts for the text. */
import { createHash } from 'node:crypto';
import { type Address, usualWeight } from '../proxy/proxy.engine';
import type { Backend, Layout, Slot } from './layout';
import {
  emptyMaps,
  type HeaderNames,
  mapFiles,
  type MapName,
  type Maps,
  redirectStatuses,
  removesHeader,
  splitParts,
} from './maps';
import { backendName, slotName } from './place-names';

export interface Front {
  readonly name: string;
  readonly port: number;
}

export interface ServiceFront extends Front {
  readonly targets: readonly Address[];
}

/** What does not change while the load balancer runs. */
export interface HaproxySettings {
  /** Where the public ports are bound; `*` for all addresses. */
  readonly host: string;
  readonly apps: Front;
  readonly services: readonly ServiceFront[];
  readonly adminSocket: string;
  readonly frontStateFile: string;
  readonly connectionsMax: number;
  readonly serverTimeoutMs: number;
  readonly streamTimeoutMs: number;
  /** An instance that comes gets its share of requests step by step over this time; 0 for all at once. */
  readonly slowStartMs: number;
  /** Every request to an app is a line of the log, and not only those that HAProxy could not serve. */
  readonly accessLog: boolean;
}

export interface Configuration {
  readonly text: string;
  /** One `<key> <value>` a line. */
  readonly maps: Readonly<Record<MapName, string>>;
  /** Digest of all in the text that only a reload can change. It stands in the text, and a running HAProxy tells it. */
  readonly structure: string;
}

/** A connection without a request is closed after this; also how long an old process lives on idle ones. */
export const keepAliveMs = 3_000;
/** From the first byte of a request to the end of its headers. */
export const requestTimeoutMs = 10_000;
export const connectTimeoutMs = 1_000;
export const retries = 3;
/** Alto's own services bound their work themselves; an upload may take this long to be stored after its last byte. */
const serviceTimeoutMs = 300_000;
const checkTimeoutMs = 3_000;

export function render(settings: HaproxySettings, layout: Layout): Configuration {
  const shape: Layout = { ...layout, backends: layout.backends.map(emptied), maps: emptyMaps };
  const structure = createHash('sha256')
    .update(renderText(settings, shape, ''))
    .digest('hex')
    .slice(0, 16);
  return { text: renderText(settings, layout, structure), maps: renderMaps(layout.maps), structure };
}

function emptied({ slots }: Backend): Backend {
  return { pool: null, slots: slots.map(() => null) };
}

function renderMaps({ routes, splits, headers }: Maps): Record<MapName, string> {
  const lines = (map: Readonly<Record<string, string>>) =>
    Object.entries(map)
      .map(([key, value]) => `${key} ${value}\n`)
      .sort()
      .join('');
  return { routes: lines(routes), splits: lines(splits), headers: lines(headers) };
}

function renderText(settings: HaproxySettings, layout: Layout, structure: string): string {
  return [
    renderGlobal(settings, structure),
    renderDefaults(settings),
    renderAppsFront(settings, layout.headerNames),
    ...settings.services.map((front) => renderServiceFront(settings, front)),
    ...layout.backends.map(renderBackend),
  ].join('\n');
}

function renderGlobal(settings: HaproxySettings, structure: string): string {
  return `# Written by Alto's load balancer, which overwrites every change. See docs/configuration.md for its settings.
global
  default-path config
  description alto structure=${structure}
  maxconn ${settings.connectionsMax}
  stats socket ${quoted(settings.adminSocket)} mode 600 level admin
  server-state-file ${quoted(settings.frontStateFile)}
  hard-stop-after ${settings.streamTimeoutMs}ms
  mworker-max-reloads 20
  log stdout len 4096 format raw daemon
  # Checks of many slots are spread over their interval.
  spread-checks 20
`;
}

function renderDefaults(settings: HaproxySettings): string {
  return `defaults alto
  mode http
  log global
  option dontlog-normal
  # A connection without a request is somebody's check that the port is open.
  option dontlognull
  log-format ${quoted(logFormat)}
  option idle-close-on-response
  option redispatch 1
  retries ${retries}
  timeout connect ${connectTimeoutMs}ms
  timeout http-request ${requestTimeoutMs}ms
  timeout http-keep-alive ${keepAliveMs}ms
  timeout client ${settings.serverTimeoutMs}ms
  timeout server ${settings.serverTimeoutMs}ms
  timeout tunnel ${settings.streamTimeoutMs}ms
  timeout queue 5s
  # A connection to an app serves any client's next request, never a client's first one: an idle connection may be
  # closing just then, and a first request is not sent again. (\`never\` would keep using connections of a slot whose
  # address has changed.)
  http-reuse safe
${problems.map(renderHttpError).join('\n')}
`;
}

/** A path has no query, which may hold secrets; it is cut so that the line stays whole within its length. */
const logFormat =
  '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","front":"%f","server":"%b/%s","status":%ST,"requestId":"%[var(txn.id)]",' +
  '"method":"%HM","host":"%[var(txn.host),bytes(0,253),json(utf8s)]","path":"%[var(txn.path),bytes(0,500),json(utf8s)]",' +
  '"totalMs":%Ta,"connectMs":%Tc,"responseMs":%Tr,"retries":"%rc","end":"%ts"}';

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
}

const notUnderstood: Problem = {
  status: 400,
  code: 'invalid_request',
  title: 'The request is not valid',
  detail: 'The request is not well-formed HTTP.',
};

const unknownHost: Problem = {
  status: 404,
  code: 'not_found',
  title: 'There is no such resource',
  detail: 'No route leads from this host name to an app. See the routes of your project.',
};

const problems: readonly Problem[] = [
  notUnderstood,
  {
    status: 408,
    code: 'timeout',
    title: 'The request took too long',
    detail: 'The request did not arrive in time.',
  },
  {
    status: 502,
    code: 'service_unavailable',
    title: 'A service is not available',
    detail: 'What serves this address ended the connection before it had answered.',
  },
  {
    status: 503,
    code: 'service_unavailable',
    title: 'A service is not available',
    detail: 'Nothing that serves this address is ready. Try again in a moment.',
  },
  {
    status: 504,
    code: 'timeout',
    title: 'The service did not answer in time',
    detail: 'What serves this address did not answer in time.',
  },
];

/** `application/problem+json` (RFC 9457) as a log-format string, in which `%` begins a variable. */
function problemBody({ status, code, title, detail }: Problem): string {
  const type = `https://alto.dev/problems/${code.replaceAll('_', '-')}`;
  return JSON.stringify({ type, title, status, detail, code, requestId: requestIdVariable });
}

const requestIdVariable = '%[var(txn.id)]';

function renderHttpError(problem: Problem): string {
  return httpError(problem, problemBody(problem));
}

function httpError(problem: Problem, body: string): string {
  const retryAfter = problem.status === 503 ? ' hdr Retry-After 1' : '';
  return `  http-error status ${problem.status} content-type application/problem+json lf-string ${quoted(body)} hdr Cache-Control no-store${retryAfter}`;
}

const htmlType = 'text/html;charset=utf-8';
/** Tells HAProxy's own errors from answers of apps while they are on their way; clients never see it. */
const pageMark = 'Alto-Error-Page';

function htmlPage({ status, title, detail }: Problem): string {
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${status} ${title}</title></head>` +
    `<body style="font:16px system-ui;margin:10vh auto;max-width:40em;padding:0 1em"><h1>${title}</h1><p>${detail}</p>` +
    `<p><small>Status ${status}, request ${requestIdVariable}</small></p></body></html>`
  );
}

/**
 * What HAProxy answers for an app, as a page or as a problem. One answer a status has to hold both: the halves around
 * the request's id are in base64, since neither has a form that is safe as an argument in the configuration.
 */
function renderPage(problem: Problem): string {
  const [htmlBefore = '', htmlAfter = ''] = htmlPage(problem).split(requestIdVariable);
  const [jsonBefore = '', jsonAfter = ''] = problemBody(problem).split(requestIdVariable);
  const either = (html: string, json: string) =>
    `%[var(txn.html),iif(${Buffer.from(html).toString('base64')},${Buffer.from(json).toString('base64')}),b64dec]`;
  const body = `${either(htmlBefore, jsonBefore)}${requestIdVariable}${either(htmlAfter, jsonAfter)}`;
  return `${httpError(problem, body)} hdr ${pageMark} 1`;
}

/** Requests that HAProxy 2.6 would pass on although two readers may understand them differently. */
const requestRules = `  http-request set-var(txn.id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{8,64}$ }
  http-request set-var(txn.id) uuid() unless { var(txn.id) -m found }
  http-request set-var(txn.path) path
  http-request set-var(txn.host) req.hdr(host),host_only,lower
  http-request deny deny_status 400 if { req.hdrs -m reg '[\\x00]' }
  http-request deny deny_status 400 if { url -m reg '[\\x00-\\x20#]' }
  http-request deny deny_status 400 if { req.ver 1.1 } !{ req.hdr(host) -m len 1: }
  http-request deny deny_status 400 if { req.ver 1.0 } { req.hdr(transfer-encoding) -m found }
  http-request del-header HTTP2-Settings
  http-request del-header Upgrade if { req.hdr(upgrade) -m sub -i h2c }
  http-request del-header Forwarded
  http-request del-header X-Real-IP
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[var(txn.id)]
  http-response set-header X-Request-Id %[var(txn.id)]`;

/**
 * A request that has no effects is sent again, to another instance, when the connection ended without a byte of the
 * answer; any other only when no connection could be made, so that nothing is ever done twice.
 */
const safeRetries = `  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS }`;

/** A browser says that it wants HTML; whoever accepts anything gets a problem. */
const wantsHtml = `  http-request set-var(txn.html) bool(false)
  http-request set-var(txn.html) bool(true) if { req.hdr(accept) -m sub text/html }
  http-after-response set-header Content-Type '${htmlType}' if { res.hdr(${pageMark}) -m found } { var(txn.html) -m bool }
  http-after-response set-header Vary Accept if { res.hdr(${pageMark}) -m found }
  http-after-response del-header ${pageMark}
`;

/** By the maps alone, so that routes change at run time; see maps.ts for what they hold. */
function renderRouting(names: HeaderNames): string {
  const { routes, splits } = mapFiles;
  const redirects = redirectStatuses.flatMap((status) => [
    `  http-request redirect code ${status} location %[var(txn.location)] if { var(txn.lead) -m str redirect_${status} }`,
    `  http-request redirect code ${status} location %[var(txn.location)]%[pathq] if { var(txn.lead) -m str redirect_${status}_keep }`,
  ]);
  return `  http-request set-var(txn.route) var(txn.host),concat(,txn.path,/),map_beg(${routes})
  http-request set-var(txn.route) str(*),concat(,txn.path,/),map_beg(${routes}) unless { var(txn.route) -m found }
  http-request return status 404 content-type ${htmlType} lf-string ${quoted(htmlPage(unknownHost))} hdr Cache-Control no-store if { var(txn.html) -m bool } !{ var(txn.route) -m found }
  http-request return status 404 content-type application/problem+json lf-string ${quoted(problemBody(unknownHost))} hdr Cache-Control no-store unless { var(txn.route) -m found }
  http-request set-var(txn.lead) var(txn.route),field(1,|)
  http-request set-var(txn.location) var(txn.route),field(3,|),b64dec if { var(txn.lead) -m beg redirect_ }
${redirects.join('\n')}
  http-request set-var(txn.part) rand(${splitParts}) if { var(txn.lead) -m beg split_ }
  http-request set-var(txn.lead) var(txn.lead),concat(:,txn.part),map_str(${splits}) if { var(txn.lead) -m beg split_ }
  http-request set-var(txn.headers) var(txn.route),field(2,|) if { var(txn.route) -m sub | }
${[...headerRules('request', 'q', names.request), ...headerRules('response', 's', names.response)].join('')}  use_backend %[var(txn.lead)]
`;
}

/** Names stand in the configuration, since HAProxy takes no other; who sets or removes them, and to what, in the map. */
function headerRules(direction: 'request' | 'response', letter: string, names: readonly string[]): string[] {
  return names.map((name) => {
    const value = `var(txn.headers),concat(:${letter}:${name}),map_str(${mapFiles.headers})`;
    return `  http-${direction} del-header ${name} if { ${value} -m str ${removesHeader} }
  http-${direction} set-header ${name} %[${value},b64dec] if { ${value} -m found } !{ ${value} -m str ${removesHeader} }
`;
  });
}

function renderAppsFront(settings: HaproxySettings, names: HeaderNames): string {
  return `frontend ${settings.apps.name} from alto
  bind ${bindAddress(settings.host, settings.apps.port)}
${settings.accessLog ? '  no option dontlog-normal\n' : ''}${requestRules}
${wantsHtml}${renderRouting(names)}
# What each backend of an app holds.
defaults apps from alto
  balance roundrobin
${safeRetries}
${problems
  .filter(({ status }) => status > 500)
  .map(renderPage)
  .join('\n')}
  http-request set-timeout server ${settings.streamTimeoutMs}ms if { req.hdr(accept) -m sub text/event-stream }
  default-server weight ${usualWeight}${settings.slowStartMs === 0 ? '' : ` slowstart ${settings.slowStartMs}ms`} check inter 2s fastinter 250ms fall 2 rise 1
`;
}

/** Several processes of one service at fixed addresses: HAProxy itself finds out which of them serve. */
function renderServiceFront(settings: HaproxySettings, { name, port, targets }: ServiceFront): string {
  const servers = targets.map((target) => `  server ${serverName(target)} ${addressText(target)}\n`).join('');
  return `frontend ${name} from alto
  bind ${bindAddress(settings.host, port)}
${requestRules}
  default_backend ${name}_instances

backend ${name}_instances from alto
  balance roundrobin
  load-server-state-from-file global
  retries ${Math.max(retries, Math.min(targets.length, 10))}
${safeRetries}
  timeout server ${Math.max(serviceTimeoutMs, settings.serverTimeoutMs)}ms
  http-request set-timeout server ${settings.streamTimeoutMs}ms if { req.hdr(accept) -m sub text/event-stream }
  # An instance that is only busy has this long to answer; requests to one that is not there go to another meanwhile.
  timeout check ${checkTimeoutMs}ms
  option httpchk GET /readyz
  http-check expect status 200
  # Slower to turn away from an instance that leaves than to find the one that takes its place: never nobody between.
  default-server check inter 250ms fall 3 rise 1
${servers}`;
}

function renderBackend({ slots }: Backend, number: number): string {
  const lines: string[] = [];
  for (let index = 0; index < slots.length;) {
    const slot = slots[index] ?? null;
    if (slot !== null) {
      const weight = slot.weight === usualWeight ? '' : ` weight ${slot.weight}`;
      const disabled = slot.state === 'ready' ? '' : ' disabled';
      lines.push(`  server ${slotName(index)} ${addressText(slot)}${weight}${disabled}\n`);
      index++;
      continue;
    }
    const end = endOfFree(slots, index);
    lines.push(`  server-template s ${index + 1}-${end} ${freeAddress} disabled\n`);
    index = end;
  }
  return `backend ${backendName(number)} from apps\n${lines.join('')}`;
}

/** Where nothing listens; the slot is disabled as well. */
const freeAddress = '127.0.0.1:1';

function endOfFree(slots: readonly (Slot | null)[], from: number): number {
  const next = slots.findIndex((slot, index) => index >= from && slot !== null);
  return next === -1 ? slots.length : next;
}

function serverName({ address, port }: Address): string {
  return `${address.replaceAll(/[^0-9a-zA-Z]/g, '_')}_${port}`;
}

function addressText({ address, port }: Address): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function bindAddress(host: string, port: number): string {
  return host === '*' ? `*:${port}` : addressText({ address: host, port });
}

/** Strong quotes of haproxy.cfg, in which nothing is special but the quote itself. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
