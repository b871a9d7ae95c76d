import { PassThrough, Readable } from 'node:stream';
import { readSecretValue } from './secret-value';

const silent = () => {};
const question = { what: 'value of TOKEN', example: 'alto secrets set TOKEN < file' };

describe('the value of a secret', () => {
  it.each([
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    ['two\nlines\n\n', 'two\nlines\n'],
    [' as it is ', ' as it is '],
  ])('is read from standard input without the newline that ends it', async (given, value) => {
    expect(await readSecretValue(question, Readable.from([Buffer.from(given)]), silent)).toBe(value);
  });

  it.each([
    ['nothing', '\n', 'No value of TOKEN was given.'],
    ['too much', 'x'.repeat(32_771), 'larger than 32768 bytes'],
  ])('is refused when it is %s', async (_what, given, message) => {
    await expect(readSecretValue(question, Readable.from([Buffer.from(given)]), silent)).rejects.toThrow(message);
  });

  it('that is missing is answered with a command that gives it', async () => {
    const refusal = readSecretValue({ what: 'token', example: 'alto join < token' }, Readable.from([]), silent);
    await expect(refusal).rejects.toMatchObject({
      message: 'No token was given.',
      nextStep: expect.stringContaining('`alto join < token`'),
    });
  });

  it('is asked for at a terminal, and not shown', async () => {
    let shown = '';
    const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
    const value = readSecretValue(question, terminal, (text) => (shown += text));
    terminal.write('hunter2\r');
    expect(await value).toBe('hunter2');
    expect(shown).toBe('Value of TOKEN (not shown): \n');
  });

  it('is not set when Ctrl-C is typed in its place', async () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
    const value = readSecretValue(question, terminal, silent);
    terminal.write('hun\x03');
    await expect(value).rejects.toThrow('Nothing was changed.');
  });
});
