import { computeOperations, type Operation, type RequestOf, secretOperations } from '@alto/contracts';
import { Database } from '@alto/platform';
import { callerOf, eventually, type NatsServer, startNats } from '@alto/testing';
import { Scenario, withinMs } from '../scenario.fake';

const { apps, nodes } = computeOperations;

let nats: NatsServer;
let scenario: Scenario;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
});
afterEach(() => scenario.end());

const asDeveloper = () => callerOf(scenario.project);
const asOperator = () => callerOf(null, 'operator');

/** Refused with another version than the present one and with nothing changed, carried out with the present one. */
async function takesCondition<O extends Operation>(
  operation: O,
  input: RequestOf<O>,
  versionNow: () => Promise<number>,
  caller = asDeveloper(),
): Promise<void> {
  const version = await versionNow();
  await expect(scenario.compute.call(operation, input, caller, { ifMatch: [version + 1] })).rejects.toMatchObject({
    code: 'precondition_failed',
    details: { version },
  });
  expect(await versionNow()).toBe(version);
  await scenario.compute.call(operation, input, caller, { ifMatch: [version] });
}

describe('a change under a condition', () => {
  it('of an app', async () => {
    const settled = async () => (await scenario.reaches('hello', 'stopped')).version;
    const address = scenario.address('hello');
    const spec = { command: ['node'], replicas: 0, ...address };
    await expect(scenario.compute.call(apps.put, spec, asDeveloper(), { ifMatch: '*' })).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    await scenario.compute.call(apps.put, spec, asDeveloper(), { ifNoneMatch: '*' });
    await settled();
    await expect(
      scenario.compute.call(apps.put, { ...spec, env: { A: '1' } }, asDeveloper(), { ifNoneMatch: '*' }),
    ).rejects.toMatchObject({ code: 'precondition_failed' });
    await takesCondition(apps.put, spec, settled);
    await takesCondition(apps.put, { ...spec, env: { A: '2' } }, settled);
    await takesCondition(apps.put, { ...spec, env: { A: '3' }, dryRun: 'true' }, settled);
    await takesCondition(apps.restart, address, settled);
    await takesCondition(apps.rollback, address, settled);
    await takesCondition(apps.scale, { ...address, replicas: 0 }, settled);
    await takesCondition(apps.delete, address, settled);
    await scenario.isGone('hello');
  });

  it('of a secret', async () => {
    const address = { project: scenario.project.id, secret: 'TOKEN' };
    const value = { ...address, value: 'one' };
    const call = scenario.compute.call(secretOperations.put, value, asDeveloper(), { ifMatch: [1] });
    await expect(call).rejects.toMatchObject({ code: 'precondition_failed' });
    await scenario.compute.call(secretOperations.put, value, asDeveloper(), { ifNoneMatch: '*' });
    const now = async () => (await scenario.compute.call(secretOperations.get, address, asDeveloper())).version;
    await takesCondition(secretOperations.put, value, now);
    await takesCondition(secretOperations.put, { ...value, value: 'two' }, now);
    await takesCondition(secretOperations.delete, address, now);
  });

  it('of a node', async () => {
    const agent = scenario.join({ node: 'node-a' });
    await eventually(async () => expect(await scenario.nodes()).toHaveLength(1), { withinMs });
    const now = async () => (await scenario.nodes())[0]!.version;
    await takesCondition(nodes.cordon, { node: 'node-a' }, now, asOperator());
    await takesCondition(nodes.drain, { node: 'node-a' }, now, asOperator());
    await takesCondition(nodes.uncordon, { node: 'node-a' }, now, asOperator());
    await agent.stop();
    await eventually(async () => expect(await scenario.nodes()).toMatchObject([{ state: 'lost' }]), { withinMs });
    await takesCondition(nodes.delete, { node: 'node-a' }, now, asOperator());
    expect(await scenario.nodes()).toEqual([]);
  });
});

describe('a trial', () => {
  it('answers as the change would and leaves everything as it was', async () => {
    await scenario.put('hello', { replicas: 0 });
    const before = await scenario.reaches('hello', 'stopped');
    const address = scenario.address('hello');
    const trial = { dryRun: true };
    const tried = await scenario.compute.call(apps.scale, { ...address, replicas: 3 }, asDeveloper(), trial);
    expect(tried).toMatchObject({ version: before.version + 1, spec: { replicas: 3 } });
    await scenario.compute.call(apps.restart, address, asDeveloper(), trial);
    await scenario.compute.call(apps.delete, address, asDeveloper(), trial);
    const secret = { project: scenario.project.id, secret: 'TOKEN', value: 'planted-value' };
    expect(await scenario.compute.call(secretOperations.put, secret, asDeveloper(), trial)).toMatchObject({
      version: 1,
    });
    expect(await scenario.get('hello')).toEqual(before);
    const { rows } = await scenario.compute.app.get(Database).query('SELECT * FROM secret');
    expect(rows).toEqual([]);
  });
});

describe('a request that is done once', () => {
  it('is given the same answer again and not done twice', async () => {
    await scenario.put('hello', { replicas: 0 });
    await scenario.reaches('hello', 'stopped');
    const once = { onceKey: 'ab'.repeat(32) };
    const answers = await Promise.all(
      [1, 2, 3].map(() => scenario.compute.call(apps.restart, scenario.address('hello'), asDeveloper(), once)),
    );
    expect(answers.map(({ revision }) => revision)).toEqual([2, 2, 2]);
    expect((await scenario.get('hello')).revision).toBe(2);
  });
});
