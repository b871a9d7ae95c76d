import { AltoError } from '@alto/contracts';
import { createLog } from './log';
import { toAltoError } from './problem.filter';

describe('a log line', () => {
  const lines: string[] = [];
  const log = createLog({
    level: 'info',
    service: 'lamp',
    instance: 'a',
    version: '1',
    context: () => ({ traceId: 'abc' }),
    destination: { write: (line) => void lines.push(line) },
  });

  it('is JSON with the service and the trace of the call', () => {
    log.child({ part: 'bulb' }).warn('Flickers', { hertz: 50 });
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({
      level: 'warn',
      service: 'lamp',
      part: 'bulb',
      traceId: 'abc',
      hertz: 50,
      msg: 'Flickers',
    });
  });

  it('holds no secret, whatever the fields', () => {
    log.info('Connected', { password: 'hunter2', headers: { authorization: 'Bearer hunter2' } });
    expect(lines.at(-1)).toContain('[secret]');
    expect(lines.at(-1)).not.toContain('hunter2');
  });

  it('shows the causes of an error', () => {
    log.error('Failed', { error: new Error('outer', { cause: new Error('inner') }) });
    expect(lines.at(-1)).toMatch(/outer.*inner/);
  });
});

it('the message of an unknown error stays inside', () => {
  const error = toAltoError(new Error('password authentication failed for user "compute"'));
  expect(error).toMatchObject({ code: 'internal' });
  expect(error.message).not.toContain('password');
  expect(toAltoError(Object.assign(new Error('Request body is too large'), { statusCode: 413 }))).toMatchObject({
    code: 'too_large',
  });
  const declared = new AltoError('conflict', 'no');
  expect(toAltoError(declared)).toBe(declared);
});
