import { type App, AltoError } from '@alto/contracts';
import { exitCodes } from '../failure';
import { Output } from '../output';
import { Session } from '../session';
import { deleteCommand } from './delete';

const shop = { id: 'app_1', name: 'shop', status: { reason: '1 instance is left' } } as App;
const gone = new AltoError('not_found', 'The project has no app shop.');
const away = new AltoError('service_unavailable', 'Alto cannot be reached.');

/** @param looks what the API answers one time after the other, the last again and again */
function typed(looks: readonly (App | AltoError)[], ...words: string[]) {
  const printed = { out: '', err: '' };
  let asked = 0;
  const get = async () => {
    const look = looks[Math.min(asked++, looks.length - 1)];
    if (look instanceof AltoError) throw look;
    return await Promise.resolve(look);
  };
  const client = { apps: { get, delete: () => Promise.resolve(shop) } };
  const session = Object.assign(new Session({ HOME: '/nonexistent' }), { client: () => Promise.resolve(client) });
  const output = new Output(
    { write: (text) => (printed.out += text) },
    { write: (text) => (printed.err += text) },
    false,
  );
  return { ended: deleteCommand(session as never, output).parseAsync(['shop', ...words], { from: 'user' }), printed };
}

describe('alto delete', () => {
  it('goes on through an outage of the API, and says so once', async () => {
    const { ended, printed } = typed([shop, away, away, shop, gone]);
    await ended;
    expect(printed).toEqual({
      out: '1 instance is left\nshop is gone.\n',
      err: 'Alto cannot be reached. Waiting for it …\n',
    });
  });

  it('fails when the app is not gone in time, and says that it goes on', async () => {
    const { ended } = typed([shop], '--timeout', '0');
    await expect(ended).rejects.toMatchObject({
      message: 'shop is not gone after 0 s: 1 instance is left.',
      nextStep: 'It goes on. `alto apps show shop` shows each instance.',
      exitCode: exitCodes.failed,
    });
  });

  it('says that it is not known what became of it when nothing answers for so long', async () => {
    const { ended } = typed([away], '--timeout', '0');
    await expect(ended).rejects.toThrow('Whether shop is gone is not known after 0 s: Alto cannot be reached.');
    await expect(ended).rejects.toMatchObject({ exitCode: exitCodes.unavailable });
  });
});
