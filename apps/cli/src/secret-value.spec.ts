import { PassThrough, Readable } from 'node:stream';
import { readSecretValue } from './secret-value';

const silent = () => {};

describe('the value of a secret', () => {
  it.each([
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    ['two\nlines\n\n', 'two\nlines\n'],
    [' as it is ', ' as it is '],
  ])('is read from standard input without the newline that ends it', async (given, value) => {
    expect(await readSecretValue('TOKEN', Readable.from([Buffer.from(given)]), silent)).toBe(value);
  });

  it.each([
    ['nothing', '\n', 'There is no value for TOKEN.'],
    ['too much', 'x'.repeat(32_771), 'larger than 32768 bytes'],
  ])('is refused when it is %s', async (_what, given, message) => {
    await expect(readSecretValue('TOKEN', Readable.from([Buffer.from(given)]), silent)).rejects.toThrow(message);
  });

  it('is asked for at a terminal, and not shown', async () => {
    let shown = '';
    const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
    const value = readSecretValue('TOKEN', terminal, (text) => (shown += text));
    terminal.write('hunter2\r');
    expect(await value).toBe('hunter2');
    expect(shown).toBe('Value of TOKEN (not shown): \n');
  });

  it('is not set when Ctrl-C is typed in its place', async () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
    const value = readSecretValue('TOKEN', terminal, silent);
    terminal.write('hun\x03');
    await expect(value).rejects.toThrow('Nothing was set.');
  });
});
