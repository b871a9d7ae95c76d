/**
 * Whatever is sent, the answer is the API's own: for every operation of the contracts, at every place of its input,
 * values that do not belong there. Each is refused with a 4xx that names the field, and nothing changes.
 */
import { allOperations, isProjectScoped, type Operation, operations, roleGrants } from '@alto/contracts';
import { newSeed, type TestServices } from '@alto/testing';
import { anyInputs, badInputs, isInPath, placesOf } from './walls/bad-inputs';
import { exchange, type HttpAnswer, type HttpRequest, problemOf, requestOf, takesBody } from './walls/exchange';
import { ProjectMaker, type TestedProject } from './walls/project';
import { sampleInput } from './walls/sample';
import { startAllServices } from './walls/services';
import { settled, stateOf } from './walls/state';

const seed = newSeed();
const casesMin = 5_000;
/** As the gateway takes them unless told otherwise. */
const urlBytesMax = 8_192;
const publicOperations = allOperations.filter(({ http }) => http !== undefined);
const places = publicOperations.reduce((sum, operation) => sum + placesOf(operation).length, 0);
/** Some places take nearly everything, so that more is tried at the others. */
const casesPerPlace = Math.ceil((casesMin * 1.4) / places);

let alto: TestServices;
let project: TestedProject;
let scratch: TestedProject;
let before: Record<string, string>;
let cases = 0;

beforeAll(async () => {
  alto = await startAllServices();
  const maker = new ProjectMaker(alto.apiUrl, alto.operatorKey);
  [project, scratch] = [await maker.makeFull('good'), await maker.makeFull('bad1')];
  before = await settled(everything);
}, 300_000);

afterAll(async () => {
  await alto?.stop();
});

async function everything(): Promise<Record<string, string>> {
  const { list } = operations.gateway.projects;
  const projects = await exchange(alto.apiUrl, requestOf(list, {}, alto.operatorKey));
  return { ...(await stateOf(alto.apiUrl, project.keys.admin, project.known)), projects: projects.text };
}

const keyFor = (operation: Operation, { keys }: TestedProject) =>
  isProjectScoped(operation) && roleGrants('admin', operation.permission) ? keys.admin : alto.operatorKey;

/** A handful at a time. */
async function atOnce<T>(attempts: readonly T[], attempt: (one: T) => Promise<void>): Promise<void> {
  const rest = attempts.values();
  const worker = async () => {
    for (const one of rest) {
      await attempt(one);
      cases++;
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

const said = ({ method, target, body = '' }: HttpRequest, { status, text }: HttpAnswer) =>
  `${`${method} ${target} ${String(body)}`.slice(0, 600)} → ${status} ${text.slice(0, 400)}`;

/** @returns what was wrong with the answers, in words */
async function refusals(
  attempts: readonly { request: HttpRequest; field?: string; mayBeUnknown?: boolean }[],
): Promise<string[]> {
  const wrong: string[] = [];
  await atOnce(attempts, async ({ request, field, mayBeUnknown }) => {
    const answer = await exchange(alto.apiUrl, request);
    // No field is looked for in an address that is too long to be read.
    const asked = request.target.length > urlBytesMax && answer.status === 413 ? undefined : field;
    const problem = problemIn(answer, asked, mayBeUnknown === true);
    if (problem !== undefined) wrong.push(`${problem}: ${said(request, answer)}`);
  });
  return wrong;
}

/** @param mayBeUnknown the field stands in the path: what cannot be there may also name nothing */
function problemIn(answer: HttpAnswer, field: string | undefined, mayBeUnknown: boolean): string | undefined {
  const { code, field: named } = problemOf(answer);
  if (answer.status < 400 || answer.status >= 500) return 'is no refusal';
  if (code === undefined || answer.headers['content-type'] !== 'application/problem+json') return 'is no problem';
  if (field === undefined || (answer.status === 404 && mayBeUnknown)) return undefined;
  return named?.split('.')[0] === field ? undefined : `names ${named}, not ${field}`;
}

describe.each(publicOperations.map((operation) => [operation.name, operation] as const))('%s', (_name, operation) => {
  it('refuses what its contract does not take, and names the field', async () => {
    const valid = sampleInput(operation, project.known);
    const attempts = placesOf(operation).flatMap((place) =>
      badInputs(operation, valid, place, casesPerPlace, seed).map(({ input, field }) => ({
        request: requestOf(operation, input, keyFor(operation, project)),
        field,
        mayBeUnknown: isInPath(operation, field),
      })),
    );
    expect({ seed, wrong: (await refusals(attempts)).slice(0, 3) }).toEqual({ seed, wrong: [] });
  }, 300_000);

  it('refuses a query that it does not know, and one that says a thing twice', async () => {
    const request = requestOf(operation, sampleInput(operation, project.known), keyFor(operation, project));
    const separator = request.target.includes('?') ? '&' : '?';
    const attempts = ['unheardOf=1', '__proto__=1', 'unheardOf=1&unheardOf=2', '%00=1'].map((query) => ({
      request: { ...request, target: `${request.target}${separator}${query}` },
    }));
    expect(await refusals(attempts)).toEqual([]);
  });
});

const withBody = publicOperations.filter(takesBody);

describe.each(withBody.map((operation) => [operation.name, operation] as const))(
  'the body of %s',
  (_name, operation) => {
    const request = () => requestOf(operation, sampleInput(operation, project.known), keyFor(operation, project));
    const nested = (depth: number) => `{"unheardOf":${'['.repeat(depth)}${']'.repeat(depth)}}`;

    it.each([
      ['text', 'text/plain'],
      ['a form', 'application/x-www-form-urlencoded'],
      ['parts', 'multipart/form-data; boundary=x'],
      ['nearly JSON', 'application/jsonp'],
      ['nothing', ''],
    ])('is not taken as %s', async (_kind, type) => {
      const { 'content-type': _, ...headers } = request().headers;
      const typed = type === '' ? headers : { ...headers, 'content-type': type };
      const body = request().body === '{}' ? '{ }' : request().body;
      expect(await refusals([{ request: { ...request(), headers: typed, body }, field: 'Content-Type' }])).toEqual([]);
    });

    it('is not taken compressed', async () => {
      const headers = { ...request().headers, 'content-encoding': 'gzip' };
      expect(await refusals([{ request: { ...request(), headers }, field: 'Content-Encoding' }])).toEqual([]);
    });

    it('is refused when it is no object of JSON', async () => {
      const texts = [
        '[]',
        '"x"',
        '1',
        'null',
        'true',
        '{',
        '{"a":1,}',
        '{a:1}',
        'NaN',
        '{}{}',
        "{'a':1}",
        '\u0000',
        ' ',
      ];
      const bytes = [
        Buffer.from([0xff, 0xfe]),
        Buffer.from('{"unheardOf":"\xff"}', 'latin1'),
        nested(33),
        nested(20_000),
      ];
      const attempts = [...texts, ...bytes].map((body) => ({ request: { ...request(), body } }));
      expect(await refusals(attempts)).toEqual([]);
    });

    it('is refused when it is too large', async () => {
      const body = `{"unheardOf":"${'x'.repeat(1_000_000)}"}`;
      const answer = await exchange(alto.apiUrl, { ...request(), body });
      expect([answer.status, problemOf(answer).code]).toEqual([413, 'too_large']);
    });
  },
);

it('has changed nothing by all of it', async () => {
  expect(await everything()).toEqual(before);
});

/** What may be valid is sent to a project of its own, since it may well change something. */
describe.each(publicOperations.map((operation) => [operation.name, operation] as const))('%s', (_name, operation) => {
  it('never fails, whatever is sent', async () => {
    const valid = sampleInput(operation, scratch.known);
    const attempts = placesOf(operation).flatMap((place, nth) =>
      anyInputs(valid, place, 8, seed + nth).map((input) => requestOf(operation, input, keyFor(operation, scratch))),
    );
    const wrong: string[] = [];
    await atOnce(attempts, async (request) => {
      const answer = await exchange(alto.apiUrl, request);
      if (answer.status >= 500) wrong.push(said(request, answer));
    });
    expect({ seed, wrong: wrong.slice(0, 3) }).toEqual({ seed, wrong: [] });
  }, 300_000);
});

it('was tried often enough, and nothing failed in a service meanwhile', () => {
  console.log(`${cases} cases of bad input, seed ${seed}`);
  expect(cases).toBeGreaterThanOrEqual(casesMin);
  expect(alto.logs()).not.toContain('in an undeclared way');
  expect(alto.logs()).not.toContain('that it does not declare');
});
