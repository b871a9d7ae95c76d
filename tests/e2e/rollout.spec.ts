/** Changes of an app under load: no user of it ever notices. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type App, computeOperations, type RequestOf } from '@alto/contracts';
import { type Alto, eventually, type LoadClient, type LoadReport, startAlto } from '@alto/testing';
import { expectNoRestarts, host, idleTraffic, Traffic, type TrafficReport, unnoticed } from './traffic';

const project = 'default';
const app = 'live';
const live = fileURLToPath(new URL('../../examples/live', import.meta.url));
const hello = fileURLToPath(new URL('../../examples/hello', import.meta.url));

type Put = RequestOf<typeof computeOperations.apps.put>;

let alto: Alto;

beforeAll(async () => {
  // An open WebSocket keeps its instance until this time is over.
  alto = await startAlto({ env: { ALTO_DRAIN_TIMEOUT_MS: '4000' } });
  await alto.command('deploy', live, '--host', '*');
  await put({ healthyMs: 500 });
}, 300_000);

afterAll(async () => {
  await alto?.stop();
}, 300_000);

async function currentApp(name = app): Promise<App> {
  return await alto.client.call(computeOperations.apps.get, { project, app: name });
}

/** Changes the app's specification; what is not named stays. */
async function put(change: Partial<Put>): Promise<App> {
  const { spec } = await currentApp();
  return await alto.client.call(computeOperations.apps.put, { project, app, ...spec, ...change });
}

const version = (text: string) => ({ env: { VERSION: text }, strategy: { kind: 'rolling' as const } });

/** The version that serves now, and one that never was. */
async function versions(): Promise<{ now: string; next: string }> {
  const { spec, revision } = await currentApp();
  return { now: spec.env.VERSION ?? '', next: `after-${revision}` };
}

/** Nothing of an earlier revision is left and every replica serves. */
async function settled(replicas: number): Promise<void> {
  await eventually(
    async () => {
      const { status, revision } = await currentApp();
      expect(status).toMatchObject({ state: 'running', ready: replicas, updated: replicas });
      expect(status.rollout).toMatchObject({ phase: 'completed' });
      const { items } = await alto.client.call(computeOperations.instances.list, { project, app });
      expect(items.map((instance) => instance.revision)).toEqual(Array.from({ length: replicas }, () => revision));
    },
    { withinMs: 120_000 },
  );
}

/** An app is one second old, and its own first rollout goes on. */
async function oneSecondAfter(name: string): Promise<void> {
  await eventually(async () => await currentApp(name));
  await pause(1_000);
  expect((await currentApp(name)).status.rollout).toMatchObject({ phase: 'running' });
}

/** The app answers what its users ask. */
async function served(client: LoadClient): Promise<void> {
  await eventually(
    () => {
      const { requests, failed } = client.report();
      expect(requests - failed).toBeGreaterThan(20);
    },
    { withinMs: 120_000 },
  );
}

describe('an app under load', () => {
  it('moves to another revision one second after a neighbour was deployed, which is left in peace', async () => {
    const { now, next } = await versions();
    const idle = idleTraffic(alto.appsUrl, host, '"version"');
    const neighbour = idleTraffic(alto.appsUrl, `neighbour.${project}.localhost`, 'Hello from Alto');
    let reports: readonly LoadReport[];
    try {
      const answered = await unnoticed(alto, async () => {
        await Promise.all([
          alto.command('deploy', hello, '--name', 'neighbour'),
          served(neighbour).then(() => neighbour.reset()),
          oneSecondAfter('neighbour').then(() => put(version(next))),
        ]);
        await settled(2);
      });
      expect(Object.keys(answered).sort()).toEqual([now, next].sort());
    } finally {
      reports = await Promise.all([idle.stop(), neighbour.stop()]);
    }
    for (const { requests, failures } of reports) {
      expect(failures).toEqual({});
      expect(requests).toBeGreaterThan(20);
    }
  }, 300_000);

  it('is scaled up and down', async () => {
    const { now } = await versions();
    const answered = await unnoticed(alto, async () => {
      await alto.command('scale', app, '4');
      await settled(4);
      await alto.command('scale', app, '2');
      await settled(2);
    });
    expect(Object.keys(answered)).toEqual([now]);
  }, 300_000);

  it('goes back to the revision before', async () => {
    const { now, next } = await versions();
    await put(version(next));
    await settled(2);
    const answered = await unnoticed(alto, async () => {
      await alto.command('rollback', app);
      await settled(2);
    });
    expect(Object.keys(answered).sort()).toEqual([now, next].sort());
    expect((await currentApp()).spec.env).toEqual({ VERSION: now });
  }, 300_000);

  it('gets a new version as a canary, step by step', async () => {
    const steps = [
      { weight: 20, holdMs: 2_500 },
      { weight: 60, holdMs: 2_500 },
    ];
    const { now, next } = await versions();
    const weights = new Set<number>();
    const answered = await unnoticed(alto, async () => {
      await put({ ...version(next), strategy: { kind: 'canary', steps } });
      await eventually(
        async () => {
          const { status } = await currentApp();
          if (status.rollout?.step) weights.add(status.rollout.step.weight);
          expect(status.rollout?.phase).toBe('completed');
        },
        { withinMs: 120_000, everyMs: 100 },
      );
      await settled(2);
    });
    expect([...weights]).toEqual([20, 60]);
    expect(Object.keys(answered).sort()).toEqual([now, next].sort());
  }, 300_000);

  it('is switched from blue to green', async () => {
    const { now, next } = await versions();
    const answered = await unnoticed(alto, async () => {
      await put({ ...version(next), strategy: { kind: 'blue-green' } });
      await settled(2);
    });
    expect(Object.keys(answered).sort()).toEqual([now, next].sort());
  }, 300_000);

  it('goes on while its node is drained and no other can take it, and says what that waits for', async () => {
    const { now } = await versions();
    const node = (await alto.client.call(computeOperations.nodes.list, {})).items[0]?.name ?? '';
    const answered = await unnoticed(alto, async () => {
      await alto.command('nodes', 'drain', node);
      await eventually(async () => {
        const { items } = await alto.client.call(computeOperations.nodes.list, {});
        expect(items[0]).toMatchObject({ intake: 'draining', reason: expect.stringMatching(/to move.*serves/) });
      });
      const { status } = await currentApp();
      expect(status.ready).toBe(2);
      await alto.command('nodes', 'uncordon', node);
      await settled(2);
    });
    expect(Object.keys(answered)).toEqual([now]);
  }, 300_000);
});

/** Answers readiness as `health` says; everything else as a bad version, after what `answers` does. */
function serverThat(health: string, answers = ''): string[] {
  const program = `
    require('node:http').createServer((request, response) => {
      if (request.url === '/healthz') { ${health} } else { ${answers} }
      response.end(JSON.stringify({ version: 'bad' }));
    }).listen(process.env.PORT, process.env.HOST);`;
  return ['node', '-e', program];
}

const readyWithin = (deadlineMs: number) => ({ path: '/healthz', deadlineMs });

const badVersions: readonly [name: string, change: Partial<Put>, reason: RegExp, answers: readonly string[]][] = [
  [
    'crashes at once',
    {
      command: ['node', '-e', "console.log('no such table'); process.exit(3)"],
      // It crashes three times well before that, on a slow machine too.
      readiness: readyWithin(60_000),
    },
    /crashed 3 times/,
    [],
  ],
  [
    'is never ready',
    { command: ['node', '-e', 'setInterval(() => {}, 1000)'], readiness: readyWithin(4_000) },
    /not ready within 4 s/,
    [],
  ],
  [
    'answers 500',
    { command: serverThat('response.statusCode = 500;'), readiness: readyWithin(4_000) },
    /not ready within 4 s/,
    [],
  ],
  [
    'fails 5 s after it was first asked',
    {
      command: serverThat(
        'response.statusCode = performance.now() < (globalThis.askedAt ?? Infinity) + 5_000 ? 200 : 500;',
        'globalThis.askedAt ??= performance.now();',
      ),
      // Its agent has found three checks failed by then.
      healthyMs: 20_000,
      progressDeadlineMs: 5_000,
    },
    /came no further for 5 s/,
    ['bad'],
  ],
];

describe('a bad version', () => {
  let good: Partial<Put>;
  let goodRevision: number;

  beforeAll(async () => {
    const { spec, revision } = await currentApp();
    goodRevision = revision;
    good = { ...spec, strategy: { kind: 'rolling' }, progressDeadlineMs: 60_000 };
  });

  /** Nothing of the bad version is left, and so nobody can be led there any more. */
  async function onlyGoodLeft(): Promise<void> {
    await eventually(
      async () => {
        const { items } = await alto.client.call(computeOperations.instances.list, { project, app });
        expect(items.map(({ revision }) => revision)).toEqual([goodRevision, goodRevision]);
      },
      { withinMs: 120_000 },
    );
  }

  it.each(badVersions)(
    'that %s is taken back by itself while the old one serves',
    async (_, change, reason, answers) => {
      const traffic = new Traffic(alto.appsUrl, host);
      let report: TrafficReport;
      try {
        await put({ ...good, ...change });
        await eventually(
          async () => {
            const { status } = await currentApp();
            expect(status).toMatchObject({ state: 'rolled_back', ready: 2 });
            expect(status.rollout).toMatchObject({ phase: 'rolled_back', reason: expect.stringMatching(reason) });
          },
          { withinMs: 120_000 },
        );
      } finally {
        report = await traffic.end(0);
      }
      expect(report.failures).toEqual({});
      expect(Object.keys(report.versions).sort()).toEqual([good.env?.VERSION, ...answers].sort());
      await expectNoRestarts(alto, goodRevision);
    },
    300_000,
  );

  it.each<Put['strategy'] & object>([
    { kind: 'rolling' },
    { kind: 'canary', steps: [{ weight: 30, holdMs: 20_000 }] },
    { kind: 'blue-green' },
  ])(
    'that answers users with 500, however ready, is taken back by itself in a $kind rollout',
    async (strategy) => {
      const traffic = new Traffic(alto.appsUrl, host);
      let report: TrafficReport;
      try {
        const command = serverThat('', 'response.statusCode = 500;');
        await put({ ...good, strategy, command, healthyMs: 8_000 });
        await eventually(
          async () => {
            const { rollout } = (await currentApp()).status;
            expect(rollout).toMatchObject({ phase: 'rolled_back', reason: expect.stringMatching(/requests .*failed/) });
          },
          { withinMs: 120_000 },
        );
        await eventually(async () => expect((await currentApp()).status).toMatchObject({ ready: 2, desired: 2 }));
      } finally {
        report = await traffic.end(0);
      }
      await expectNoRestarts(alto, goodRevision);
      // Users meet the version's own errors until it is taken back, and the old one all the time: but for a blue-green
      // rollout, which has all of them answered by the new one.
      expect(Object.keys(report.failures)).toEqual(['status 500']);
      expect(Object.keys(report.versions)).toEqual([good.env?.VERSION]);
      const answered = report.versions[good.env?.VERSION ?? ''] ?? 0;
      const share = (report.failures['status 500'] ?? 0) / (answered + (report.failures['status 500'] ?? 0));
      expect(share).toBeLessThan(strategy.kind === 'blue-green' ? 1 : 1 / 3);
      await onlyGoodLeft();
      const later = await new Traffic(alto.appsUrl, host).end(1_000);
      expect({ failures: later.failures, versions: Object.keys(later.versions) }).toEqual({
        failures: {},
        versions: [good.env?.VERSION],
      });
    },
    300_000,
  );

  it('is told by the command: what it said last, and by the exit code', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'alto-bad-'));
    try {
      writeFileSync(
        join(folder, 'alto.yaml'),
        `name: ${app}\ncommand: [node, -e, "console.log('no such table'); process.exit(3)"]\nreplicas: 2\n`,
      );
      const failure: unknown = await alto.command('deploy', folder).catch((error: unknown) => error);
      expect(String(failure)).toMatch(/crashed 3 times[\s\S]*no such table[\s\S]*alto rollouts live/);
      expect((failure as Error).cause).toMatchObject({ code: 6 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 300_000);
});
