import { AltoError, errorCatalogue, type ErrorCode } from '@alto/contracts';
import { CommandError, exitCodes, explain } from './failure';
import { Output } from './output';

function explained(error: unknown, json = false): { code: number; text: string } {
  let text = '';
  const stream = { write: (part: string) => (text += part) };
  return { code: explain(error, new Output(stream, stream, json)), text };
}

describe('explain', () => {
  it('says what is wrong and what to do', () => {
    const { code, text } = explained(
      new AltoError('not_found', { message: 'There is no app x.', nextStep: 'List them with `alto apps`.' }),
    );
    expect(code).toBe(exitCodes.notFound);
    expect(text).toBe('There is no app x.\nList them with `alto apps`.\n');
  });

  it.each<[ErrorCode, number]>([
    ['unauthenticated', exitCodes.refused],
    ['forbidden', exitCodes.refused],
    ['service_unavailable', exitCodes.unavailable],
    ['timeout', exitCodes.unavailable],
    ['invalid_request', exitCodes.usage],
    ['conflict', exitCodes.failed],
    ['unprocessable', exitCodes.failed],
  ])('gives %s its exit code', (code, exitCode) => {
    expect(explained(new AltoError(code, 'Something.')).code).toBe(exitCode);
  });

  it.each(Object.keys(errorCatalogue) as ErrorCode[])('says what to do next after %s', (code) => {
    expect(explained(new AltoError(code, 'Something.')).text).toMatch(/^Something\.\n.+/);
  });

  it('names the list of what is missing', () => {
    expect(explained(new AltoError('not_found', 'The project has no app shop.')).text).toBe(
      'The project has no app shop.\n`alto apps list` shows those there are.\n',
    );
  });

  it('takes a revision that is not there for a thing that is not there', () => {
    const error = new AltoError('unprocessable', { message: 'to: there is no revision 99', field: 'to' });
    expect(explained(error).code).toBe(exitCodes.notFound);
  });

  it('names a command where the API names a request', () => {
    const error = new AltoError('not_found', {
      message: 'There is no such project.',
      nextStep: 'GET /v1/projects lists the projects that this key can see.',
    });
    expect(explained(error).text).toBe('There is no such project.\n`alto projects list` shows those there are.\n');
  });

  it('says what to do after a fault of its own', () => {
    expect(explained(new TypeError('x is undefined')).text).toContain('`alto doctor`');
  });

  it('takes a connection that broke off for what it is', () => {
    const { code, text } = explained(new TypeError('terminated', { cause: new Error('other side closed') }));
    expect(text).toMatch(/^The connection broke off before the answer was complete\.\n.*run the command again\.\n$/);
    expect(code).toBe(exitCodes.unavailable);
  });

  it.each([
    ['EACCES', "permission denied, open '/app/key'", '/app/key', /^\/app\/key cannot be .*: permission denied\.\nGive/],
    ['EROFS', "read-only file system, mkdir '/a, b'", '/a, b', /^\/a, b cannot be .*: read-only file system\.\nName/],
    [
      'ENOSPC',
      'no space left on device, write',
      undefined,
      /^A file cannot be .*: no space left on device\.\nMake room/,
    ],
  ])('says what to do where the machine refuses a file: %s', (code, why, path, said) => {
    const error = Object.assign(new Error(`${code}: ${why}`), { code, syscall: 'open', path });
    expect(explained(error)).toEqual({ code: exitCodes.failed, text: expect.stringMatching(said) });
  });

  it('prints the problem as JSON for programs', () => {
    const { text } = explained(new AltoError('forbidden', 'The key may not do this.'), true);
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'forbidden', status: 403, detail: 'The key may not do this.' },
    });
  });

  it('names the trace of what failed inside Alto', () => {
    const error = new AltoError('internal', 'Something failed.');
    error.traceId = 'abc';
    expect(explained(error).text).toContain('trace abc');
  });

  it('keeps the exit code of what the command found by itself', () => {
    expect(explained(new CommandError('No key.', 'Log in.', exitCodes.refused))).toEqual({
      code: 3,
      text: 'No key.\nLog in.\n',
    });
  });
});
