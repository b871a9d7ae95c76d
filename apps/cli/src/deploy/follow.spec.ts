import { type App, AltoError, type Instance, type RolloutStatus } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { exitCodes } from '../failure';
import { followChange } from './follow';

const running: RolloutStatus = {
  number: 2,
  phase: 'running',
  strategy: 'rolling',
  from: 1,
  to: 2,
  reason: '',
  step: null,
  failingInstance: null,
  lastLogLines: [],
};

function makeApp(status: Partial<App['status']>): App {
  const whole = { state: 'progressing', reason: '', desired: 2, ready: 2, updated: 0, rollout: running, ...status };
  return { name: 'shop', status: whole } as App;
}

function makeInstance(suffix: string, state: Instance['state'], reason = ''): Instance {
  return { id: `ins_${suffix}`, revision: 2, state, reason, restarts: 0 } as Instance;
}

type Look = AltoError | readonly [App, readonly Instance[]];

/** An API that shows one look after the other, and the last one again and again. */
function makeClient(looks: readonly Look[]): AltoClient {
  let at = -1;
  const look = () => {
    const seen = looks[Math.min(at, looks.length - 1)];
    if (seen instanceof AltoError) throw seen;
    return seen;
  };
  return {
    apps: {
      get: async () => {
        at++;
        return await Promise.resolve(look()?.[0]);
      },
    },
    listAll: async function* () {
      yield* look()?.[1] ?? [];
    },
  } as unknown as AltoClient;
}

async function followed(looks: readonly Look[], accepted = (looks[0] as readonly [App, readonly Instance[]])[0]) {
  const lines: string[] = [];
  const request = { project: 'default', accepted, timeoutMs: 5_000 };
  const outcome = await followChange(makeClient(looks), { ...request, progress: (line) => lines.push(line) }).catch(
    (error: unknown) => error,
  );
  return { outcome, lines };
}

const done = makeApp({ state: 'running', updated: 2, rollout: { ...running, phase: 'completed' } });

describe('following a change', () => {
  it('tells each step of each instance once, and returns the app when it is done', async () => {
    const { outcome, lines } = await followed([
      [makeApp({}), [makeInstance('old001', 'ready')]],
      [makeApp({}), [makeInstance('old001', 'ready'), makeInstance('new001', 'starting', 'it is being started')]],
      [makeApp({}), [makeInstance('old001', 'draining'), makeInstance('new001', 'ready')]],
      [done, [makeInstance('new001', 'ready')]],
    ]);
    expect(outcome).toBe(done);
    expect(lines).toEqual([
      '2 of 2 ready',
      '  …new001 revision 2: starting: it is being started',
      '  …old001 revision 2: draining',
      '  …new001 revision 2: ready',
      '  …old001 is gone',
    ]);
  });

  it('says what an instance that was silent waited for', async () => {
    const { outcome } = await followed([
      [makeApp({}), [makeInstance('new001', 'starting', 'Not ready: nothing listens on 127.0.0.1:20000 yet')]],
      [
        makeApp({
          rollout: { ...running, phase: 'failed', reason: 'it was not ready', failingInstance: 'ins_new001' },
        }),
        [],
      ],
    ]);
    expect(String(outcome)).toMatch(/it was not ready\nInstance ins_new001 was seen last .*nothing listens.*\$PORT/);
  });

  it('does not tell one that crashed where to listen', async () => {
    const starting = makeInstance('new001', 'starting', 'Not ready: nothing listens on 127.0.0.1:20000 yet');
    const failed: Partial<RolloutStatus> = { phase: 'failed', reason: 'it crashed 3 times' };
    const { outcome } = await followed([
      [makeApp({}), [starting]],
      [makeApp({}), [{ ...starting, restarts: 2 }]],
      [makeApp({ rollout: { ...running, ...failed, failingInstance: 'ins_new001' } }), []],
    ]);
    expect(String(outcome)).toMatch(/it crashed 3 times$/);
  });

  it('says that a bad version was taken back, why, and what it said last', async () => {
    const { outcome } = await followed([
      [makeApp({}), []],
      [makeApp({ rollout: { ...running, phase: 'reverting', reason: 'it crashed 3 times' } }), []],
      [
        makeApp({
          state: 'rolled_back',
          rollout: {
            ...running,
            phase: 'rolled_back',
            reason: 'it crashed 3 times',
            failingInstance: 'ins_bad',
            lastLogLines: ['no such file'],
          },
        }),
        [],
      ],
    ]);
    expect(outcome).toMatchObject({ exitCode: exitCodes.rolledBack });
    expect((outcome as Error).message).toMatch(
      /shop is back at what ran before: it crashed 3 times[\s\S]*ins_bad[\s\S]*no such file/,
    );
  });

  it('fails when a newer change takes its place', async () => {
    const newer = makeApp({ rollout: { ...running, number: 3 } });
    const { outcome } = await followed([
      [makeApp({}), []],
      [newer, []],
    ]);
    expect(outcome).toMatchObject({ exitCode: exitCodes.failed, message: expect.stringContaining('newer change') });
  });

  it('does not judge a change by the rollout before it', async () => {
    const past = { ...running, phase: 'rolled_back' as const };
    const scaled = makeApp({ state: 'rolled_back', ready: 1, rollout: past });
    const { outcome } = await followed([
      [scaled, []],
      [makeApp({ state: 'rolled_back', ready: 2, rollout: past }), []],
    ]);
    expect(outcome).toMatchObject({ status: { ready: 2 } });
  });

  it('tells the share of a canary', async () => {
    const canary = makeApp({ rollout: { ...running, step: { number: 1, of: 2, weight: 10 } } });
    const { lines } = await followed([
      [canary, []],
      [done, []],
    ]);
    expect(lines[0]).toContain('10 % of requests to the new revision (step 1 of 2)');
  });

  it('can be content with instances that serve', async () => {
    const serving = makeApp({ updated: 2 });
    const request = { project: 'default', accepted: makeApp({}), timeoutMs: 5_000, progress: () => undefined };
    expect(await followChange(makeClient([[serving, []]]), { ...request, untilReady: true })).toBe(serving);
  });

  const away = new AltoError('service_unavailable', 'Alto cannot be reached at http://alto.test: refused');

  it('goes on through an outage of the API, and says so once', async () => {
    const { outcome, lines } = await followed([[makeApp({}), []], away, away, [done, []]], makeApp({}));
    expect(outcome).toBe(done);
    expect(lines).toEqual(['2 of 2 ready', `${away.message}. Waiting for it …`]);
  });

  it('says that the change goes on when time is over and nothing answers', async () => {
    const request = { project: 'default', accepted: makeApp({}), timeoutMs: 0, progress: () => undefined };
    const refused = followChange(makeClient([away]), request);
    await expect(refused).rejects.toThrow(/^What has become of shop is not known after 0 s: Alto cannot be reached/);
    await expect(refused).rejects.toMatchObject({
      exitCode: exitCodes.unavailable,
      nextStep: 'The change goes on. `alto apps show shop` shows how far it is once Alto answers.',
    });
  });

  it('ends with what does not pass by itself', async () => {
    const { outcome } = await followed([new AltoError('forbidden', 'The key may not.')], makeApp({}));
    expect(outcome).toMatchObject({ code: 'forbidden' });
  });

  it('gives up in words when time is over', async () => {
    const request = { project: 'default', accepted: makeApp({}), timeoutMs: 0, progress: () => undefined };
    await expect(followChange(makeClient([[makeApp({ reason: 'no node is free' }), []]]), request)).rejects.toThrow(
      /shop is not ready after 0 s.*no node is free/,
    );
  });
});
