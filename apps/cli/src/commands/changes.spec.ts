import { type } from '../session.fake';

const status = { state: 'progressing', reason: '', desired: 2, ready: 1, updated: 1, rollout: null };
const app = { name: 'shop', status };

/** Ctrl-C while the API is asked. */
const interruptedIn = () => {
  process.emit('SIGINT');
  return app;
};

describe.each(['scale shop 2', 'rollback shop', 'restart shop'])('alto %s', (words) => {
  const operation = `apps.${words.split(' ')[0]}`;

  it('says when it is interrupted that the change goes on, and how to look', async () => {
    const api = { [operation]: () => app, 'apps.get': interruptedIn, 'instances.list': () => [] };
    const { code, complaint } = await type(`alto ${words}`, { api });
    expect(complaint).toMatch(
      /^Interrupted\. Alto goes on changing shop\.\n`\S*alto apps show shop` shows how it goes/,
    );
    expect(code).toBe(130);
    expect(process.listenerCount('SIGINT')).toBe(0);
  });

  it('says how to look whether it was accepted', async () => {
    const { code, complaint } = await type(`alto ${words} --json`, { api: { [operation]: interruptedIn } });
    expect(JSON.parse(complaint)).toMatchObject({
      error: { detail: expect.stringMatching(/just been asked/), nextStep: expect.stringMatching(/apps show shop/) },
    });
    expect(code).toBe(130);
  });
});
