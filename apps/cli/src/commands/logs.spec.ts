import { CommandError, exitCodes } from '../failure';
import { Output } from '../output';
import { Session } from '../session';
import { logsCommand } from './logs';

const away = new CommandError('No Alto runs on this machine.', 'Start it.', exitCodes.unavailable);
const broken = new TypeError('terminated');
const page = (...lines: string[]) => ({ lines: lines.map((text) => ({ text })), cursor: String(lines.length) });
type Page = ReturnType<typeof page>;

/** @param pages what the agent answers one time after the other, the last again and again */
function typed(pages: readonly (Page | Error)[], ...words: string[]) {
  const printed = { out: '', err: '' };
  let asked = 0;
  const logs = async () => {
    const found = pages[Math.min(asked++, pages.length - 1)];
    if (found instanceof Error) throw found;
    return await Promise.resolve(found);
  };
  const session = Object.create(new Session({ HOME: '/nonexistent' }), { agent: { value: { logs } } }) as Session;
  const output = new Output(
    { write: (text) => (printed.out += text) },
    { write: (text) => (printed.err += text) },
    words.includes('--json'),
  );
  const command = logsCommand(session, output).option('--json');
  return { ended: command.parseAsync(words, { from: 'user' }), printed };
}

describe('alto logs --workload', () => {
  it('follows on when another agent has taken over', async () => {
    const pages = [page('one'), away, broken, page('two'), page()];
    const { ended, printed } = typed(pages, '--workload', 'compute.0', '-f');
    while (!printed.out.includes('two')) await new Promise((resolve) => setTimeout(resolve, 10));
    process.emit('SIGINT');
    await ended;
    expect(printed).toEqual({ out: 'one\ntwo\n', err: 'No Alto runs on this machine. Waiting for it …\n' });
  });

  it('fails where no agent answers from the first', async () => {
    await expect(typed([away], '--workload', 'compute.0', '-f').ended).rejects.toBe(away);
  });
});
