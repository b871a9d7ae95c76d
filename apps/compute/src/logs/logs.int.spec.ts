import { type AltoError, computeOperations, type LogLine, logPageBytesMax, nodeAgentOperations } from '@alto/contracts';
import { callerOf, eventually, type NatsServer, newTestProject, startNats } from '@alto/testing';
import { Database } from '@alto/platform';
import { answering, type Answering } from '../answering.fake';
import { Scenario, withinMs } from '../scenario.fake';
import { decodePositions, encodePositions } from './log-cursor';

const { apps, instances, logs } = computeOperations;
let nats: NatsServer;
let scenario: Scenario;
const agents: Answering[] = [];

beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  scenario = await Scenario.begin(nats);
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop()));
  await scenario.end();
});

/** An agent whose instances write a line each second, alternating with those of other nodes. */
async function writing(node: string, offset: number): Promise<void> {
  const line = (instance: string, second: number): LogLine => {
    const time = new Date(Date.UTC(2030, 0, 1, 0, 0, second)).toISOString();
    return { instance, stream: 'output', time, text: `${node} ${second}` };
  };
  const agent = await answering(
    nats.url,
    nodeAgentOperations.logs.read,
    ({ instances: [instance], cursor, lines = 100 }) => {
      const from = cursor === undefined ? 0 : Number(cursor);
      const seconds = Array.from({ length: Math.min(10 - from, Number(lines)) }, (_, index) => from + index);
      return {
        lines: seconds.map((second) => line(instance!, second * 2 + offset)),
        cursor: String(from + seconds.length),
      };
    },
    node,
  );
  agents.push(agent);
}

const longLines = 300;
const longText = (node: string, n: number) => `${node} ${n} ${'\u0001'.repeat(800)}`;

/** An agent whose instances have written long lines; one of before does not know of bytes. */
async function writingLong(node: string, { knowsBytes }: { knowsBytes: boolean }): Promise<void> {
  const agent = await answering(
    nats.url,
    nodeAgentOperations.logs.read,
    ({ instances: [instance], cursor, lines = 100, bytes }) => {
      let left = knowsBytes ? (bytes ?? 700_000) : 700_000;
      const page: LogLine[] = [];
      for (let n = Number(cursor ?? 0); n < longLines && page.length < Number(lines); n++) {
        const line: LogLine = { instance: instance!, stream: 'output', time: null, text: longText(node, n) };
        left -= JSON.stringify(line).length + 1;
        if (left < 0) break;
        page.push(line);
      }
      return { lines: page, cursor: String(Number(cursor ?? 0) + page.length) };
    },
    node,
  );
  agents.push(agent);
}

const read = (more: { lines?: number; cursor?: string; instance?: string } = {}) =>
  scenario.compute.call(logs.read, { ...scenario.address('hello'), ...more }, callerOf(scenario.project));

async function deployed(): Promise<void> {
  scenario.join({ node: 'node-a' });
  scenario.join({ node: 'node-b' });
  await eventually(async () => expect(await scenario.nodes()).toHaveLength(2), { withinMs });
  await scenario.put('hello', { replicas: 2 });
  await scenario.reaches('hello', 'running');
}

describe('the log of an app', () => {
  it('is that of all its instances in order of time, and goes on where a reader stopped', async () => {
    await deployed();
    await Promise.all([writing('node-a', 0), writing('node-b', 1)]);
    const first = await read({ lines: 6 });
    expect(first.lines).toHaveLength(6);
    const next = await read({ lines: 8, cursor: first.cursor });
    expect(next.lines.map(({ text }) => text)).toEqual(
      [12, 13, 14, 15, 16, 17, 18, 19].map((second) => `node-${second % 2 === 0 ? 'a' : 'b'} ${second}`),
    );
    expect(await read({ cursor: next.cursor })).toMatchObject({ lines: [] });
    expect((await read({ cursor: next.cursor })).cursor).toBe(next.cursor);
  });

  it('has a cursor that forgets machines which the app has left, and not those that do not answer', async () => {
    await deployed();
    await writing('node-a', 0);
    const answered = (await read({ lines: 4 })).cursor;
    expect(decodePositions(answered)).toEqual({ 'node-a': '4' });
    const cursor = encodePositions({ 'node-a': '4', 'node-b': '7', 'node-gone': '9' });
    expect(decodePositions((await read({ cursor })).cursor)).toEqual({ 'node-a': '10', 'node-b': '7' });
  });

  it('can be read of one instance', async () => {
    await deployed();
    await Promise.all([writing('node-a', 0), writing('node-b', 1)]);
    const instance = (await scenario.instancesOf('hello')).find(({ node }) => node === 'node-b')!;
    const { lines } = await read({ instance: instance.id });
    expect(new Set(lines.map((line) => line.instance))).toEqual(new Set([instance.id]));
    expect(lines).toHaveLength(10);
  });

  it.each([true, false])(
    'is read in pages that fit into a message (agents that know of bytes: %s)',
    async (knowsBytes) => {
      await deployed();
      const nodes = ['node-a', 'node-b'];
      await Promise.all(nodes.map((node) => writingLong(node, { knowsBytes })));
      const seen: string[] = [];
      let page = await read({ lines: 1_000, cursor: encodePositions({ 'node-a': '0', 'node-b': '0' }) });
      while (page.lines.length > 0) {
        expect(Buffer.byteLength(JSON.stringify(page.lines))).toBeLessThan(logPageBytesMax + 1_000);
        seen.push(...page.lines.map(({ text }) => text));
        page = await read({ lines: 1_000, cursor: page.cursor });
      }
      for (const node of nodes)
        expect(seen.filter((text) => text.startsWith(node))).toEqual(
          Array.from({ length: longLines }, (_, n) => longText(node, n)),
        );
    },
  );

  it('can be read of any instance of more than are merged', async () => {
    scenario.join({ node: 'node-a', capacity: { cpuMillis: 100_000, memoryBytes: 2 ** 40 } });
    await scenario.put('hello', { replicas: 52 });
    await scenario.reaches('hello', 'running');
    await writing('node-a', 0);
    const all = { ...scenario.address('hello'), limit: 200 };
    const last = (await scenario.compute.call(instances.list, all, callerOf(scenario.project))).items[51]!;
    const { lines } = await read({ instance: last.id });
    expect(new Set(lines.map(({ instance }) => instance))).toEqual(new Set([last.id]));
  });

  it('can be read of an instance after its end, until its app is deleted', async () => {
    await deployed();
    await Promise.all([writing('node-a', 0), writing('node-b', 1)]);
    const before = await scenario.instancesOf('hello');
    const gone = before.find(({ node }) => node === 'node-b')!;
    await scenario.compute.call(apps.restart, scenario.address('hello'), callerOf(scenario.project));
    await eventually(
      async () => {
        const now = await scenario.instancesOf('hello');
        expect(now.map(({ id }) => id)).not.toContain(gone.id);
        expect(now).toHaveLength(2);
      },
      { withinMs },
    );
    const page = await read({ instance: gone.id, lines: 4 });
    expect(page.lines.map(({ instance, text }) => [instance, text])).toEqual(
      [0, 1, 2, 3].map((second) => [gone.id, `node-b ${second * 2 + 1}`]),
    );
    expect((await read({ instance: gone.id, cursor: page.cursor })).lines).toHaveLength(6);

    const unknown = gone.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    await scenario.put('other');
    const ofOther = (instance: string) =>
      scenario.compute.call(logs.read, { ...scenario.address('other'), instance }, callerOf(scenario.project));
    const messageOf = (asked: Promise<unknown>, id: string) =>
      asked.then(String, (error: AltoError) => [error.code, error.message.replaceAll(id, '')]);
    expect(await messageOf(ofOther(gone.id), gone.id)).toEqual(await messageOf(ofOther(unknown), unknown));
    await expect(ofOther(gone.id)).rejects.toMatchObject({ code: 'not_found' });
    const stranger = newTestProject();
    const asStranger = { project: stranger.id, app: 'hello', instance: gone.id };
    await expect(scenario.compute.call(logs.read, asStranger, callerOf(stranger))).rejects.toMatchObject({
      code: 'not_found',
    });

    const database = scenario.compute.app.get(Database);
    const older = `SELECT 'ins_' || n, $1, 'node-a', now() - interval '1 day' FROM generate_series(1, 200) AS n`;
    await database.query(`INSERT INTO ended_instance (id, app, node, ended_at) ${older}`, [
      (await scenario.get('hello')).id,
    ]);
    await scenario.compute.call(apps.scale, { ...scenario.address('hello'), replicas: 1 }, callerOf(scenario.project));
    const count = 'SELECT count(*)::integer AS count FROM ended_instance';
    await eventually(async () => expect((await database.query(count)).rows).toEqual([{ count: 100 }]), { withinMs });
    expect((await read({ instance: gone.id })).lines).toHaveLength(10);

    await scenario.delete('hello');
    await scenario.isGone('hello');
    await scenario.put('hello');
    await expect(read({ instance: gone.id })).rejects.toMatchObject({ code: 'not_found' });
    expect((await database.query(count)).rows).toEqual([{ count: 0 }]);
  });

  it('says what is missing when a node does not answer', async () => {
    await deployed();
    await writing('node-a', 0);
    const { lines } = await read();
    expect(lines.filter(({ stream }) => stream === 'output')).toHaveLength(10);
    expect(lines.filter(({ stream }) => stream === 'alto')).toMatchObject([
      { text: expect.stringContaining('the agent of node node-b does not answer') },
    ]);
  });

  it('is refused for a cursor that was never given out, and for an instance of another app', async () => {
    await deployed();
    await expect(read({ cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request', field: 'cursor' });
    const other = (await scenario.instancesOf('hello'))[0]!.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    await expect(read({ instance: other })).rejects.toMatchObject({ code: 'not_found' });
  });
});
