/** What HAProxy itself answers: a problem for programs, a page for browsers. Pure; text for haproxy.cfg. */
import { AltoError, type ErrorCode, type Problem, toProblem } from '@alto/contracts';

/** As Alto's own services answer with this code. @param status where HAProxy has another one for it */
function problemOf(code: ErrorCode, detail: string, status?: number): Problem {
  const problem = toProblem(new AltoError(code, detail));
  return { ...problem, status: status ?? problem.status };
}

const unknownHost = problemOf(
  'not_found',
  'No route leads from this host name to an app. See the routes of your project.',
);

const problems: readonly Problem[] = [
  problemOf('invalid_request', 'The request is not well-formed HTTP.'),
  problemOf('method_not_allowed', 'CONNECT and TRACE are not for use here.'),
  problemOf('unprocessable', 'The transfer encoding is not supported: send the body as it is, or in chunks.'),
  problemOf('request_timeout', 'The request did not arrive in time.'),
  problemOf('service_unavailable', 'What serves this address ended the connection before it had answered.', 502),
  problemOf('service_unavailable', 'Nothing that serves this address is ready. Try again in a moment.'),
  problemOf('timeout', 'What serves this address did not answer in time.'),
];

/** `application/problem+json` (RFC 9457) as a log-format string, in which `%` begins a variable. */
function problemBody(problem: Problem): string {
  return JSON.stringify({ ...problem, requestId: requestIdVariable });
}

const requestIdVariable = '%[var(txn.id)]';

/** For everybody, where nothing is said of browsers. */
export const problemErrors = (): string[] => problems.map((problem) => httpError(problem, problemBody(problem)));
/** Of apps that are not there or do not answer; {@link wantsHtml} decides which of two. */
export const pageErrors = (): string[] => problems.filter(({ status }) => isOfApp(status)).map(renderPage);

const isOfApp = (status: number) => status > 500;
const pageStatuses = problems
  .map(({ status }) => status)
  .filter(isOfApp)
  .join(' ');

/** For hosts and paths that no route leads anywhere. */
export function notFoundRules(): string[] {
  const rule = (type: string, body: string, condition: string) =>
    `  http-request return status ${unknownHost.status} content-type ${type} lf-string ${quoted(body)} hdr Cache-Control no-store hdr Vary Accept${condition}`;
  return [
    rule(htmlType, htmlPage(unknownHost), ' if { var(txn.html) -m bool }'),
    rule('application/problem+json', problemBody(unknownHost), ''),
  ];
}

function httpError(problem: Problem, body: string): string {
  const retryAfter = problem.status === 503 ? ' hdr Retry-After 1' : '';
  // After what could not be understood, nobody knows where the next request would begin.
  const close = problem.status < 500 ? ' hdr Connection close' : '';
  return `  http-error status ${problem.status} content-type application/problem+json lf-string ${quoted(body)} hdr Cache-Control no-store${retryAfter}${close}`;
}

const htmlType = 'text/html;charset=utf-8';
/** Tells HAProxy's own errors from answers of apps while they are on their way; clients never see it. */
const pageMark = 'Alto-Error-Page';

function htmlPage({ status, title, detail }: Problem): string {
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<meta name="color-scheme" content="light dark"><title>${status} ${title}</title></head>` +
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
    `%[var(txn.html,0),iif(${Buffer.from(html).toString('base64')},${Buffer.from(json).toString('base64')}),b64dec]`;
  const body = `${either(htmlBefore, jsonBefore)}${requestIdVariable}${either(htmlAfter, jsonAfter)}`;
  return `${httpError(problem, body)} hdr ${pageMark} 1`;
}

/**
 * A browser says that it wants HTML; whoever accepts anything gets a problem. Answers of apps pay for one comparison:
 * those with other statuses cannot be HAProxy's own.
 */
export const wantsHtml = `  http-request set-var(txn.html) bool(true) if { req.hdr(accept) -m sub text/html }
  http-after-response allow unless { status ${pageStatuses} }
  http-after-response set-header Content-Type '${htmlType}' if { res.hdr(${pageMark}) -m found } { var(txn.html) -m bool }
  http-after-response set-header Vary Accept if { res.hdr(${pageMark}) -m found }
  http-after-response del-header ${pageMark}
`;

/** Strong quotes of haproxy.cfg, in which nothing is special but the quote itself. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
