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
import { notFoundRules, pageErrors, problemErrors, quoted, wantsHtml } from './pages';
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
  /** From one address, so that one alone cannot take them all. */
  readonly connectionsPerAddressMax: number;
  readonly threads: number;
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

/** What clients are told that a connection stays open without a request. */
const keepAliveSeconds = 3;
/**
 * A connection without a request is closed after this; also how long an old process lives on idle ones. Longer than
 * promised, as the client counts from the end of the answer as it sees it.
 */
export const keepAliveMs = keepAliveSeconds * 1_000 + 500;
/** From the first byte of a request to the end of its headers. */
export const requestTimeoutMs = 10_000;
export const connectTimeoutMs = 1_000;
export const retries = 3;
/** Alto's own services bound their work themselves; an upload may take this long to be stored after its last byte. */
const serviceTimeoutMs = 300_000;
const checkTimeoutMs = 3_000;
/** After a reload the process before stays for the WebSockets and streams that it has, whose apps did not change. */
const oldProcessLifeMs = 86_400_000;
/**
 * HAProxy counts this often how many connections to an instance were needed at once, and closes half of those that were
 * not: one that nobody uses is gone after two or three times. Apps close theirs after two seconds and more; a POST sent
 * into one that is just being closed is lost.
 */
const poolPurgeMs = 250;

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
    renderAddresses(settings),
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
  hard-stop-after ${Math.max(oldProcessLifeMs, settings.streamTimeoutMs)}ms
  mworker-max-reloads 50
  nbthread ${settings.threads}
  # Remembering what did not match costs more than the few short patterns here.
  tune.pattern.cache-size 0
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
  # Apps speak HTTP/1.1, and what is translated into it can be understood in two ways.
  option disable-h2-upgrade
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
${problemErrors().join('\n')}
`;
}

/** A path has no query, which may hold secrets; it is cut so that the line stays whole within its length. */
const logFormat =
  '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","front":"%f","server":"%b/%s","status":%ST,"requestId":"%[var(txn.id)]",' +
  '"method":"%[method,bytes(0,20)]","host":"%[var(txn.host),bytes(0,253),json(utf8s)]","path":"%[var(txn.path),bytes(0,500),json(utf8s)]",' +
  '"totalMs":%Ta,"connectMs":%Tc,"responseMs":%Tr,"retries":"%rc","end":"%ts"}';

/**
 * The id is that of the connection and the number of the request on it: that costs a fraction of a UUID. How long a
 * connection stays open is this proxy's to say, not the app's: a client that believes more sends its next request into one
 * that is just being closed, and no client may send a POST again by itself.
 */
const requestRules = `  http-request set-var(sess.requests) var(sess.requests),add(1)
  http-request set-var(txn.id) var(sess.id),concat(-,sess.requests)
  http-request set-var(txn.path) path
  http-request set-var(txn.host) req.hdr(host),host_only,lower
  http-response set-header X-Request-Id %[var(txn.id)]
  http-after-response set-header Keep-Alive timeout=${keepAliveSeconds}`;

/** Bytes that end a path for one reader and not for another. */
const unclearUrls = `url -m reg '[\\x00-\\x20#]'`;

/**
 * Segments `.` and `..` as well, hidden ones too: clients resolve them before they ask, and an app that does so later
 * would serve a path that no route meant. Alto's own services take a path apart as it is, and say what is wrong with it.
 */
const unclearPaths = `url -m reg -i '[\\x00-\\x20#]|^[^?]*?(/|\\\\|%2f|%5c)(\\.|%2e){1,2}([/\\\\;?]|%2f|%5c|%3b|$)'`;

/**
 * The id that the client gave, if all of it is plain. Then requests that HAProxy 2.6 would pass on although two readers may
 * understand them differently. Apps see the Host that the client sent, so no other header repeats it, nor may a client's
 * own say otherwise.
 */
const requestChecks = (
  unclear: string,
) => `  http-request set-var(txn.id) req.fhdr(x-request-id,-1) if { req.fhdr(x-request-id,-1) -m reg ^[A-Za-z0-9._-]{8,64}$ }
  http-request deny deny_status 400 if { req.hdrs -m reg '[\\x00]' }
  http-request deny deny_status 400 if !{ var(txn.host) -m len 1: } { req.ver 1.1 }
  http-request deny deny_status 400 if { req.fhdr(host) -m reg '[^][A-Za-z0-9.:_-]' }
  http-request deny deny_status 400 if { req.fhdr(content-length) -m reg '^0.|.{16}' }
  http-request deny deny_status 400 if { req.ver 1.0 } { req.hdr(transfer-encoding) -m found }
  http-request deny deny_status 400 if { req.hdr(transfer-encoding) -m found } !{ req.fhdr(transfer-encoding) -m str chunked }
  http-request deny deny_status 405 if { method CONNECT TRACE }
  http-request deny deny_status 400 if { ${unclear} }
  http-request del-header ^(upgrade|http2-settings)$ -m reg if { req.hdr(upgrade) -m sub -i h2c }
  http-request del-header Forwarded
  http-request del-header X-Real-IP
  http-request del-header X-Forwarded-Host`;

/**
 * Holds of the headers of every request that {@link requestChecks} would refuse or change for them, or that wants HTML,
 * and of few others: one look at all headers, as HAProxy writes them (`name: value`, names in lower case, never cut),
 * instead of one for each check.
 */
const unusualHeaders = [
  '\\x00',
  '(^|\\n)(host: [^\\r]*[^][A-Za-z0-9.:_\\r-]',
  'content-length: (0[^\\r]|[^\\r]{16})',
  '(transfer-encoding|upgrade|forwarded|x-real-ip|x-forwarded-host|x-request-id): ',
  'accept: [^\\r]*text/html)',
].join('|');

/** What is told of a request to who answers it, whatever the client says. */
const forwarding = `  http-request set-header X-Forwarded-For %[var(sess.client)]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Request-Id %[var(txn.id)]`;

/**
 * A request that has no effects is sent again, to another instance, when the connection ended without a byte of the
 * answer; any other only when no connection could be made, so that nothing is ever done twice.
 */
const safeRetries = `  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS }`;

/**
 * By the maps alone, so that routes change at run time; see maps.ts for what they hold. Most requests are plain and lead to
 * one app without rules of its own: these are let through before all that only others need. One without a host has no lead
 * yet.
 */
function renderRouting(names: HeaderNames): string {
  const { routes, splits } = mapFiles;
  const rules = [...headerRules('request', 'q', names.request), ...headerRules('response', 's', names.response)];
  const headers = rules.length === 0 ? '' : '  http-request set-var(txn.headers) var(txn.route),field(3,|)\n';
  return `  http-request set-var(txn.lead) var(txn.host),concat(,txn.path,/),map_beg(${routes})
  http-request allow if { var(txn.lead) -m beg app_ } !{ method CONNECT TRACE } !{ ${unclearPaths} } !{ req.hdrs -m reg '${unusualHeaders}' }
${requestChecks(unclearPaths)}
${wantsHtml}  http-request set-var(txn.lead) str(*),concat(,txn.path,/),map_beg(${routes}) unless { var(txn.lead) -m found }
  http-request allow unless { var(txn.lead) -m beg | }
  http-request set-var(txn.route) var(txn.lead)
  http-request set-var(txn.lead) var(txn.route),field(2,|)
  http-request set-var(txn.part) rand(${splitParts}) if { var(txn.lead) -m beg split_ }
  http-request set-var(txn.lead) var(txn.lead),concat(:,txn.part),map_str(${splits}) if { var(txn.part) -m found }
${headers}${rules.join('')}  use_backend %[var(txn.lead)]
  default_backend nowhere

backend nowhere from alto
${notFoundRules().join('\n')}

${redirectStatuses.flatMap((status) => [renderRedirect(status, ''), renderRedirect(status, '_keep')]).join('\n')}
`;
}

/** Named as the lead of its routes, so that no other request is asked whether it is to be redirected. */
function renderRedirect(status: number, keep: '' | '_keep'): string {
  const location = `%[var(txn.route),field(4,|),b64dec]${keep === '' ? '' : '%[pathq]'}`;
  return `backend redirect_${status}${keep} from alto
  http-request redirect code ${status} location ${location}`;
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

/** Connections by address. Past its share an address is closed out before a byte of it is read. */
function renderAddresses({ connectionsPerAddressMax }: HaproxySettings): string {
  return `# At most ${connectionsPerAddressMax} connections from one address.
backend ${addressTable} from alto
  stick-table type ipv6 size 100k expire 10s store conn_cur
`;
}

const addressTable = 'addresses';

/** Whoever starts HAProxy may have opened the port for it, and say so; else HAProxy opens it itself. */
function renderBind(settings: HaproxySettings, port: number): string {
  return `  bind "\${ALTO_SOCKET_${port}-${bindAddress(settings.host, port)}}"
  tcp-request connection track-sc0 src table ${addressTable}
  tcp-request connection reject if { sc0_conn_cur gt ${settings.connectionsPerAddressMax} }
  # Once for a connection, not once for each of its requests.
  tcp-request session set-var-fmt(sess.client) %[src]
  tcp-request session set-var-fmt(sess.id) %[date(0,us)]-%[rand]
  tcp-request session set-var(sess.requests) int(0)
`;
}

function renderAppsFront(settings: HaproxySettings, names: HeaderNames): string {
  return `frontend ${settings.apps.name} from alto
${renderBind(settings, settings.apps.port)}${settings.accessLog ? '  no option dontlog-normal\n' : ''}${requestRules}
${renderRouting(names)}
# What each backend of an app holds.
defaults apps from alto
  balance roundrobin
${forwarding}
${safeRetries}
${pageErrors().join('\n')}
  http-request set-timeout server ${settings.streamTimeoutMs}ms if { req.hdr(accept) -m sub text/event-stream }
  # Thousands of free slots wake HAProxy for it as well, so seldom; one that refuses a connection is looked at at once.
  default-server weight ${usualWeight}${settings.slowStartMs === 0 ? '' : ` slowstart ${settings.slowStartMs}ms`} pool-purge-delay ${poolPurgeMs}ms check inter 15s downinter 1s fastinter 250ms fall 2 rise 1 observe layer4 error-limit 1 on-error fastinter
`;
}

/** Several processes of one service at fixed addresses: HAProxy itself finds out which of them serve. */
function renderServiceFront(settings: HaproxySettings, { name, port, targets }: ServiceFront): string {
  const servers = targets.map((target) => `  server ${serverName(target)} ${addressText(target)}\n`).join('');
  return `frontend ${name} from alto
${renderBind(settings, port)}${requestRules}
${requestChecks(unclearUrls)}
  default_backend ${name}_instances

backend ${name}_instances from alto
  balance roundrobin
  load-server-state-from-file global
${forwarding}
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
