/**
 * Two computes. The one that reconciles is killed in the middle of a rollout, the next one is frozen in the middle of
 * another and wakes up when somebody else has taken over. Requests go on throughout.
 */
import { type Child, eventually } from '@alto/testing';
import { MortalScenario, withinMs } from './mortal-scenario.fake';

const replicas = 3;

let scenario: MortalScenario;

beforeAll(async () => {
  scenario = await MortalScenario.begin();
});
afterAll(() => scenario.end());

const spec = (version: string) => ({ replicas, env: { VERSION: version }, healthyMs: 300 });

/** Puts a version and waits until the rollout is in its middle: some of the new instances are there and not all. */
async function beginRollout(version: string): Promise<void> {
  await scenario.put('web', spec(version));
  await eventually(() => expect(startedOf(version)).toBeGreaterThan(0), { withinMs });
  expect(startedOf(version)).toBeLessThan(replicas);
}

const startedOf = (version: string) =>
  scenario.agent.instructions.instances.filter(({ env }) => env['VERSION'] === version).length;

async function isAt(revision: number): Promise<void> {
  const app = await scenario.find('web');
  expect(app).toMatchObject({ revision, status: { state: 'running', ready: replicas, updated: replicas } });
  expect(await scenario.instancesOf('web')).toHaveLength(replicas);
  expect(scenario.proxy.serving('web')).toHaveLength(replicas);
}

const reaches = (revision: number) => eventually(() => isAt(revision), { withinMs: 2 * withinMs });

/** A request each few milliseconds, to each instance that the proxy would choose: one that does not run fails it. */
function underLoad(): { end(): { sent: number; failed: string[] } } {
  const { proxy, agent } = scenario;
  const outcome = { sent: 0, failed: [] as string[] };
  const timer = setInterval(() => {
    const serving = proxy.serving('web');
    outcome.sent += 1;
    if (serving.length < replicas) outcome.failed.push(`only ${serving.length} serve`);
    for (const id of serving) {
      const state = agent.running.get(id)?.state;
      if (state !== 'ready') outcome.failed.push(`${id} is ${state ?? 'gone'}`);
    }
  }, 5);
  return {
    end: () => {
      clearInterval(timer);
      return outcome;
    },
  };
}

/** Every change of a machine's set with the fencing number that it was made under, in the order of their commits. */
async function watchWrites(): Promise<() => Promise<number[]>> {
  const { sql } = scenario;
  await sql.query('CREATE TABLE written (id bigserial PRIMARY KEY, fencing bigint NOT NULL)');
  await sql.query(
    `CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN INSERT INTO written (fencing) VALUES (NEW.fencing); RETURN NEW; END $$`,
  );
  await sql.query(
    `CREATE TRIGGER note_write AFTER UPDATE ON node FOR EACH ROW
       WHEN (OLD.generation IS DISTINCT FROM NEW.generation) EXECUTE FUNCTION note_write()`,
  );
  return async () =>
    (await sql.query('SELECT fencing FROM written ORDER BY id')).rows.map((row) => Number(row.fencing));
}

/** The lease is taken from a holder that does not know of it. */
async function isReplacedBy(child: Child): Promise<void> {
  await scenario.expireLeases();
  await child.said({ said: 'holds the lease' }, { withinMs });
}

it('go on from each other, with no request failed and no write of an older one accepted', async () => {
  const writes = await watchWrites();
  const first = await scenario.startCompute();
  await first.said({ said: 'holds the lease' }, { withinMs });
  const second = await scenario.startCompute();
  await scenario.put('web', spec('1'));
  await reaches(1);
  const load = underLoad();
  const tokens = await throughKillAndFreeze(first, second, writes).finally(load.end);

  const { sent, failed } = load.end();
  expect(failed).toEqual([]);
  expect(sent).toBeGreaterThan(100);
  const all = await writes();
  expect(all).toEqual([...all].sort((a, b) => a - b));
  expect(tokens).toHaveLength(3);
  expect(scenario.agent.refused).toEqual([]);
}, 600_000);

/** @returns the fencing numbers of the three who reconciled */
async function throughKillAndFreeze(first: Child, second: Child, writes: () => Promise<number[]>): Promise<number[]> {
  await beginRollout('2');
  await first.kill();
  await isReplacedBy(second);
  await reaches(2);

  const third = await scenario.startCompute();
  await beginRollout('3');
  second.pause();
  await isReplacedBy(third);
  await reaches(3);
  const tokens = [...new Set(await writes())];
  second.resume();
  await scenario.put('web', spec('4'));
  await second.said({ said: 'has lost the lease' }, { withinMs });
  await reaches(4);
  return tokens;
}
