/**
 * Compute is killed at every point of the way from a request to a running app at which it persists or sends something.
 * Another one takes over. What was acknowledged is whole, and what was not is whole or not there at all.
 */
import { type Child, eventually } from '@alto/testing';
import { MortalScenario, withinMs } from './mortal-scenario.fake';

let scenario: MortalScenario;

beforeAll(async () => {
  scenario = await MortalScenario.begin();
});
afterAll(() => scenario.end());

async function successor(): Promise<Child> {
  await scenario.expireLeases();
  const child = await scenario.startCompute();
  await child.said({ said: 'holds the lease' }, { withinMs });
  return child;
}

async function isWhole(app: string): Promise<void> {
  const found = await scenario.find(app);
  expect(found?.status).toMatchObject({ state: 'running', ready: 1, rollout: { phase: 'completed' } });
  const instances = await scenario.instancesOf(app);
  expect(instances).toMatchObject([{ state: 'ready', node: 'node-a', revision: 1 }]);
  expect(scenario.proxy.serving(app)).toEqual([instances[0]!.id]);
}

/**
 * The points that a change passes from the request to the app that runs, in their order; each twice at most, for what is
 * the third of its kind is the same step again.
 */
async function pointsOf(child: Child, app: string): Promise<{ what: string; time: number }[]> {
  scenario.tell(child, { order: 'record' });
  await scenario.put(app);
  await eventually(() => isWhole(app), { withinMs });
  scenario.tell(child, { order: 'report' });
  const { points } = (await child.said({ said: 'passed' }, { withinMs })) as { points: string[] };
  const times = new Map<string, number>();
  const all = points.map((what) => {
    const time = (times.get(what) ?? 0) + 1;
    times.set(what, time);
    return { what, time };
  });
  return all.filter(({ time }) => time <= 2);
}

const death = (child: Child) => eventually(() => expect(child.exited).toBe(true), { withinMs });

/** @returns false when it died; else it does not die any more */
async function survives(victim: Child, app: string): Promise<boolean> {
  if (victim.exited) return false;
  scenario.tell(victim, { order: 'disarm', app });
  const isDisarmed = () => victim.messages.some((message) => message['said'] === 'disarmed' && message['app'] === app);
  await eventually(() => expect(victim.exited || isDisarmed()).toBe(true), { withinMs });
  return isDisarmed();
}

/** @returns whether the change was acknowledged before the victim died, or undefined when that got through */
async function deployUnder(victim: Child, app: string): Promise<boolean | undefined> {
  let isAcknowledged = false;
  const answer = scenario.put(app).then(
    () => (isAcknowledged = true),
    () => false,
  );
  await eventually(
    async () => {
      if (!victim.exited) await Promise.race([isWhole(app), death(victim)]);
    },
    { withinMs },
  );
  if (await survives(victim, app)) return undefined;
  // An answer that was sent arrives now if it has not yet; there is nobody left who could send one.
  await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 100))]);
  return isAcknowledged;
}

it('leaves a change whole or never acknowledged, wherever compute dies', async () => {
  let victim = await successor();
  const points = await pointsOf(victim, 'app');
  const deaths: string[] = [];
  for (const [number, point] of points.entries()) {
    const app = `app-${number}`;
    scenario.tell(victim, { order: 'arm', ...point, app });
    await victim.said({ said: 'armed', app }, { withinMs });
    const isAcknowledged = await deployUnder(victim, app);
    // What comes together once may come one by one another time: then there was nothing to die at.
    if (isAcknowledged !== undefined) {
      deaths.push(point.what);
      victim = await successor();
    }
    const isThere = (await scenario.find(app)) !== null;
    if (isAcknowledged === true) expect({ point, isThere }).toEqual({ point, isThere: true });
    if (!isThere) await scenario.put(app);
    await eventually(() => isWhole(app), { withinMs });
  }
  expect(deaths.length).toBeGreaterThan(points.length / 2);
  expect(deaths).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^before COMMIT of app revision/),
      expect.stringMatching(/^after COMMIT of app revision/),
      'before sending _INBOX_gateway',
      expect.stringMatching(/^before COMMIT of .*endpoint_set/),
      expect.stringMatching(/^after COMMIT of .*instance/),
    ]),
  );
  await expectNothingLeftOver(points.length + 1);
}, 600_000);

async function expectNothingLeftOver(appsMade: number): Promise<void> {
  const { sql, agent } = scenario;
  const count = async (what: string) => Number((await sql.query(`SELECT count(*) FROM ${what}`)).rows[0].count);
  const waiting = 'alto_outbox WHERE published_sequence IS NULL';
  await eventually(async () => expect(await count(waiting)).toBe(0), { withinMs });
  expect(await count('app')).toBe(appsMade);
  expect(await count('instance')).toBe(appsMade);
  expect(await count('revision WHERE NOT EXISTS (SELECT FROM app WHERE app.revision = revision.id)')).toBe(0);
  expect(await count('rollout WHERE NOT EXISTS (SELECT FROM app WHERE app.rollout = rollout.id)')).toBe(0);
  const { rows } = await sql.query(
    `SELECT count(*) AS events FROM alto_outbox WHERE subject LIKE '%.compute.apps.created' GROUP BY resource`,
  );
  expect(rows.map(({ events }) => Number(events))).toEqual(Array.from({ length: appsMade }, () => 1));
  expect(agent.running.size).toBe(appsMade);
}
