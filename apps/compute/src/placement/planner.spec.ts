import type { Strategy } from '../rollouts/rollout.state';
import { atOnce, ModelCluster, node, revision } from './cluster.fake';
import { isMassLoss } from './planner';
import type { Constraint } from './snapshot';

const gib = 2 ** 30;

function clusterOf(...nodes: string[]): ModelCluster {
  const cluster = new ModelCluster();
  for (const id of nodes) cluster.addNode(node(id));
  return cluster;
}

describe('placement', () => {
  it('spreads the instances of an app over the nodes', () => {
    const cluster = clusterOf('a', 'b', 'c');
    cluster.put('web', 6, revision(1));
    cluster.settle();
    const counts = Map.groupBy(cluster.of('web'), ({ node }) => node);
    expect([...counts.values()].map(({ length }) => length)).toEqual([2, 2, 2]);
  });

  it('says in words why no node can take an instance, and places it as soon as one can', () => {
    const cluster = new ModelCluster();
    const large = revision(1, { resources: { cpuMillis: 100, memoryBytes: 2 * gib } });
    cluster.put('web', 1, large);
    cluster.settle();
    expect(cluster.of('web')[0]).toMatchObject({
      state: 'pending',
      node: null,
      reason: expect.stringContaining('no node has joined yet'),
    });
    cluster.addNode(node('a', { capacity: { cpuMillis: 4_000, memoryBytes: gib / 2 } }));
    cluster.addNode(node('b', { state: 'lost' }));
    cluster.settle();
    expect(cluster.of('web')[0]!.reason).toBe('no node has 2 GiB of memory free: a has 512 MiB, b is lost');
    expect(cluster.apps.get('web')!.status).toMatchObject({
      state: 'degraded',
      reason: '0 of 1 replica ready at revision 1; no node has 2 GiB of memory free: a has 512 MiB, b is lost',
      desired: 1,
      ready: 0,
      updated: 0,
    });
    cluster.addNode(node('c'));
    cluster.settle();
    expect(cluster.of('web')[0]).toMatchObject({ state: 'ready', node: 'c' });
    expect(cluster.apps.get('web')!.status.state).toBe('running');
  });

  it('says which nodes take nothing new, and why', () => {
    const cluster = new ModelCluster();
    cluster.addNode(node('a', { intake: 'cordoned' }));
    cluster.addNode(node('b', { intake: 'draining' }));
    cluster.put('web', 1, revision(1));
    cluster.settle();
    expect(cluster.of('web')[0]!.reason).toBe(
      'no node has an agent that takes new instances: a is cordoned, b is being drained',
    );
  });

  it('does not give the same room to two apps in one plan', () => {
    const cluster = new ModelCluster();
    cluster.addNode(node('a', { capacity: { cpuMillis: 4_000, memoryBytes: gib } }));
    const large = (number: number) => revision(number, { resources: { cpuMillis: 100, memoryBytes: gib } });
    cluster.put('one', 1, large(1));
    cluster.put('two', 1, large(2));
    cluster.reconcile();
    expect([...cluster.instances.values()].filter(({ node }) => node !== null)).toHaveLength(1);
  });

  it('prefers a node that starts apps at all, and takes another only where there is none', () => {
    const cluster = new ModelCluster();
    const missing = { 'alto.sandbox': 'missing' };
    cluster.addNode(node('a', { labels: missing }));
    cluster.put('web', 1, revision(1));
    cluster.reconcile();
    expect(cluster.of('web')).toMatchObject([{ node: 'a' }]);
    cluster.addNode(node('b', { labels: { 'alto.sandbox': 'restricted' } }));
    cluster.put('shop', 3, revision(1));
    cluster.reconcile();
    expect(cluster.of('shop').map(({ node }) => node)).toEqual(['b', 'b', 'b']);
  });

  it('takes only nodes for which every constraint holds, and `node` is the name of one', () => {
    const cluster = new ModelCluster();
    cluster.addNode(node('a', { labels: { zone: 'north' } }));
    cluster.addNode(node('b', { labels: { zone: 'south', disk: 'fast' } }));
    cluster.addNode(node('c', { labels: { zone: 'south' }, name: 'cellar' }));
    const bound = (number: number, ...constraints: Constraint[]) => revision(number, { constraints });
    const south = { label: 'zone', equals: 'south' };
    cluster.put('both', 3, bound(1, south, { label: 'disk', equals: 'fast' }));
    cluster.put('one', 4, bound(2, south));
    cluster.put('named', 2, bound(3, { label: 'node', equals: 'cellar' }));
    cluster.settle();
    const nodesOf = (app: string) => cluster.of(app).map(({ node }) => node);
    expect(nodesOf('both')).toEqual(['b', 'b', 'b']);
    expect(nodesOf('one').sort()).toEqual(['b', 'b', 'c', 'c']);
    expect(nodesOf('named')).toEqual(['c', 'c']);
  });

  it('says which constraint no node meets, and what each has instead', () => {
    const cluster = new ModelCluster();
    cluster.addNode(node('a', { labels: { zone: 'north' } }));
    cluster.addNode(node('b'));
    const zone = { label: 'zone', equals: 'south' };
    cluster.put('web', 1, revision(1, { constraints: [zone] }));
    cluster.put('shop', 1, revision(2, { constraints: [{ label: 'node', equals: 'z' }] }));
    cluster.settle();
    const pending = { state: 'pending', node: null };
    expect(cluster.of('web')).toMatchObject([
      { ...pending, reason: 'no node has zone = south: a has north, b has no zone' },
    ]);
    expect(cluster.of('shop')).toMatchObject([{ ...pending, reason: 'no node has node = z: a has a, b has b' }]);
    cluster.addNode(node('c', { labels: { zone: 'south' } }));
    cluster.settle();
    expect(cluster.of('web')).toMatchObject([{ state: 'ready', node: 'c' }]);
  });

  it('spreads over the values of a label before it does over nodes, however many nodes have each', () => {
    const cluster = new ModelCluster();
    for (const id of ['a', 'b', 'c']) cluster.addNode(node(id, { labels: { zone: 'north' } }));
    cluster.addNode(node('d', { labels: { zone: 'south' } }));
    cluster.put('web', 6, revision(1, { spread: 'zone' }));
    cluster.settle();
    const hosts = cluster.of('web').map(({ node }) => node);
    expect(hosts.sort()).toEqual(['a', 'b', 'c', 'd', 'd', 'd']);
  });

  it('prefers a node on which the version has not been given up', () => {
    const cluster = clusterOf('a', 'b');
    cluster.put('web', 1, revision(1));
    cluster.reconcile();
    const [first] = cluster.of('web');
    cluster.observe(first!.id, 'failed');
    cluster.nowMs += 60_001;
    cluster.settle();
    expect(cluster.of('web')).toMatchObject([{ state: 'ready', node: first!.node === 'a' ? 'b' : 'a' }]);
  });
});

describe('stopping an instance', () => {
  it('waits until every proxy has let go, then for requests in flight, then tells the agent', () => {
    const cluster = clusterOf('a');
    cluster.addProxy('p');
    cluster.addProxy('q');
    cluster.put('web', 1, revision(1));
    cluster.settle();
    const { id } = cluster.of('web')[0]!;
    cluster.put('web', 0, revision(1));
    cluster.reconcile();
    expect(cluster.instances.get(id)).toMatchObject({ state: 'draining', leftGeneration: cluster.generation });
    expect(cluster.apps.get('web')!.endpoints).toMatchObject([{ instance: id, state: 'draining' }]);
    cluster.proxies.get('p')!.appliedGeneration = cluster.generation;
    while (!cluster.reconcile());
    expect(cluster.instances.get(id)).toMatchObject({
      state: 'draining',
      reason: 'waits for q to send it no more requests',
    });
    cluster.proxies.get('q')!.busy = new Set([id]);
    cluster.proxies.get('q')!.appliedGeneration = cluster.generation;
    while (!cluster.reconcile());
    expect(cluster.instances.get(id)).toMatchObject({ state: 'draining', drainUntil: cluster.nowMs + 30_000 });
    expect(cluster.plan().askProxies).toBe(true);
    cluster.proxies.get('q')!.busy = new Set();
    while (!cluster.reconcile());
    expect(cluster.instances.get(id)).toMatchObject({ state: 'stopping' });
    expect(cluster.apps.get('web')!.endpoints).toEqual([]);
    cluster.observe(id, 'exited');
    while (!cluster.reconcile());
    expect(cluster.instances.size).toBe(0);
    expect(cluster.apps.get('web')!.status).toMatchObject({ state: 'stopped' });
  });

  it('gives requests in flight no more than the drain time where a proxy cannot tell', () => {
    const cluster = clusterOf('a');
    cluster.addProxy('p', null);
    cluster.put('web', 1, revision(1));
    cluster.settle();
    cluster.put('web', 0, revision(1));
    while (!cluster.reconcile());
    cluster.applyAll();
    while (!cluster.reconcile());
    expect(cluster.of('web')).toMatchObject([{ state: 'draining' }]);
    expect(cluster.plan().wakeAt).toBe(cluster.nowMs + 30_000);
    cluster.nowMs += 30_000;
    while (!cluster.reconcile());
    expect(cluster.of('web')).toMatchObject([{ state: 'stopping' }]);
  });

  it('removes an app only once its last instance is gone', () => {
    const cluster = clusterOf('a');
    cluster.put('web', 2, revision(1));
    cluster.settle();
    cluster.delete('web');
    cluster.reconcile();
    expect(cluster.apps.get('web')!.status).toMatchObject({ state: 'deleting' });
    cluster.settle();
    expect(cluster.apps.size + cluster.instances.size).toBe(0);
  });
});

describe('a worker, which has no port', () => {
  const worker = (number: number) => revision(number, { ports: [] });
  const strategies: Strategy[] = [
    { kind: 'rolling' },
    { kind: 'canary', steps: [{ weight: 50, holdMs: 1_000 }], crashesMax: 0 },
    { kind: 'blue-green' },
  ];

  it('is available once it is ready and ends at once, whatever proxies do', () => {
    const cluster = clusterOf('a');
    cluster.addProxy('p');
    cluster.put('web', 2, worker(1));
    cluster.reconcile();
    for (const { id } of cluster.of('web')) cluster.observe(id, 'ready');
    while (!cluster.reconcile());
    expect(cluster.apps.get('web')).toMatchObject({ status: { state: 'running', ready: 2 }, endpoints: [] });
    cluster.put('web', 1, worker(1));
    while (!cluster.reconcile());
    expect(
      cluster
        .of('web')
        .map(({ state }) => state)
        .sort(),
    ).toEqual(['ready', 'stopping']);
  });

  it.each(strategies)('follows an app with a port and is followed by one: $kind', (strategy) => {
    const cluster = clusterOf('a', 'b');
    cluster.addProxy('p');
    const policy = { ...atOnce, strategy, healthyMs: 1_000 };
    [revision(1), worker(2), worker(3), revision(4)].forEach((target) => {
      cluster.put('web', 3, target, policy);
      cluster.settle();
      const { status, endpoints, good } = cluster.apps.get('web')!;
      expect({ state: status.state, good: good!.id }).toEqual({ state: 'running', good: target.id });
      expect(endpoints).toHaveLength(target.ports.length * 3);
      expect(cluster.of('web')).toHaveLength(3);
    });
  });

  it('is proven by time: one that keeps ending is taken back', () => {
    const cluster = clusterOf('a');
    cluster.put('web', 1, worker(1));
    cluster.settle();
    cluster.natures.set('rev-2', 'flaky');
    cluster.put('web', 1, worker(2), { ...atOnce, healthyMs: 10_000 });
    cluster.settle();
    expect(cluster.apps.get('web')).toMatchObject({ status: { state: 'rolled_back' }, target: { id: 'rev-1' } });
  });

  it('that is started again in a long rollout is not taken for one that never was ready', () => {
    const cluster = clusterOf('a', 'b');
    cluster.put('web', 2, worker(1));
    cluster.settle();
    const steps = [{ weight: 50, holdMs: 60_000 }];
    const strategy: Strategy = { kind: 'canary', steps, crashesMax: 2 };
    cluster.put('web', 2, worker(2), { ...atOnce, strategy, readyWithinMs: 10_000 });
    cluster.reconcile();
    const { id } = cluster.of('web').find(({ revision: of }) => of === 'rev-2')!;
    cluster.observe(id, 'ready');
    while (!cluster.reconcile());
    cluster.pass(20_000);
    cluster.observe(id, 'backoff');
    while (!cluster.reconcile());
    expect(cluster.apps.get('web')!.rollout!.phase).toBe('running');
  });
});

const canary: Strategy = { kind: 'canary', steps: [{ weight: 1, holdMs: 86_400_000 }], crashesMax: 0 };

describe('a change that takes the place of another', () => {
  it('keeps what was seen healthy rather than what was not', () => {
    const cluster = clusterOf('a', 'b');
    cluster.put('web', 1, revision(1));
    cluster.settle();
    const [proven] = cluster.of('web');
    cluster.put('web', 2, revision(2), { ...atOnce, healthyMs: 10_000 });
    cluster.reconcile();
    for (const instance of cluster.of('web')) cluster.obey(instance);
    cluster.reconcile();
    expect(cluster.of('web').filter(({ state }) => state === 'ready')).toHaveLength(3);
    cluster.put('web', 1, revision(3));
    while (!cluster.reconcile());
    expect(cluster.instances.get(proven!.id)).toMatchObject({ state: 'ready', retiring: false });
  });
});

it('a lost instance stays in rotation beside one of a superseded version that is only just ready', () => {
  const cluster = clusterOf('a', 'b', 'c');
  const patient = { ...atOnce, healthyMs: 10_000 };
  cluster.put('web', 1, revision(1));
  cluster.settle();
  const [proven] = cluster.of('web');
  cluster.put('web', 1, revision(2), patient);
  cluster.reconcile();
  for (const instance of cluster.of('web')) cluster.obey(instance);
  while (!cluster.reconcile());
  cluster.nodes.get(proven!.node!)!.state = 'lost';
  cluster.put('web', 1, revision(3), patient);
  while (!cluster.reconcile());
  expect(cluster.apps.get('web')!.endpoints).toContainEqual(
    expect.objectContaining({ instance: proven!.id, state: 'ready' }),
  );
});

it('a lost instance stays in rotation beside a new set that takes no requests yet', () => {
  const cluster = clusterOf('a', 'b', 'c');
  cluster.put('web', 1, revision(1));
  cluster.settle();
  const [proven] = cluster.of('web');
  cluster.put('web', 1, revision(2), { ...atOnce, strategy: { kind: 'blue-green' }, healthyMs: 10_000 });
  const [another] = ['a', 'b', 'c'].filter((id) => id !== proven!.node);
  for (const id of [proven!.node!, another!]) cluster.nodes.get(id)!.state = 'lost';
  for (let round = 0; round < 3; round++) {
    cluster.reconcile();
    for (const instance of cluster.of('web')) if (instance.revision === 'rev-2') cluster.obey(instance);
  }
  // Enough machines are back, and the new set is healthy, at the same moment.
  cluster.nodes.get(another!)!.state = 'ready';
  cluster.pass(10_000);
  while (!cluster.reconcile());
  const { rollout, endpoints } = cluster.apps.get('web')!;
  expect(rollout).toMatchObject({ phase: 'running', step: 1 });
  expect(endpoints!.map(({ instance }) => instance)).toContain(proven!.id);
});

it('the status names who is in trouble, and nobody else', () => {
  const cluster = clusterOf('a', 'b');
  cluster.put('web', 2, revision(1));
  cluster.settle();
  const [first, second] = cluster.of('web');
  cluster.observe(first!.id, 'backoff');
  while (!cluster.reconcile());
  const { reason } = cluster.apps.get('web')!.status;
  expect(reason).toContain(first!.id);
  expect(reason).not.toContain(second!.id);
  expect(reason).not.toContain('2 instances');
});

it('old instances that cannot serve go once the new ones do', () => {
  const cluster = clusterOf('a', 'b');
  cluster.put('web', 2, revision(1));
  cluster.settle();
  for (const { id } of cluster.of('web')) cluster.observe(id, 'backoff');
  cluster.put('web', 2, revision(2));
  for (let round = 0; round < 10; round++) {
    cluster.reconcile();
    for (const instance of cluster.of('web'))
      if (instance.revision === 'rev-2' || instance.retiring) cluster.obey(instance);
  }
  expect(cluster.of('web').map(({ revision: of, state }) => [of, state])).toEqual([
    ['rev-2', 'ready'],
    ['rev-2', 'ready'],
  ]);
});

it.each([
  ['canary', { number: 1, of: 1, weight: 1 }],
  ['rolling', null],
] as const)('the status of a %s rollout says at which step it is', (kind, step) => {
  const cluster = clusterOf('a');
  cluster.put('web', 1, revision(1));
  cluster.settle();
  cluster.put('web', 1, revision(2), { ...atOnce, strategy: kind === 'canary' ? canary : { kind } });
  cluster.reconcile();
  expect(cluster.apps.get('web')!.status.rollout).toMatchObject({ phase: 'running', step });
});

it.each([
  ['good', 'reverting'],
  ['failing', 'running'],
] as const)(
  'a version that answers badly beside a %s one is %s, also when the first report comes late',
  (old, phase) => {
    const cluster = clusterOf('a', 'b');
    cluster.addProxy('p');
    cluster.put('web', 1, revision(1));
    cluster.settle();
    cluster.natures.set('rev-1', old).set('rev-2', 'failing');
    cluster.put('web', 1, revision(2), { ...atOnce, healthyMs: 60_000 });
    for (let round = 0; round < 3; round++) {
      cluster.reconcile();
      for (const instance of cluster.of('web')) cluster.obey(instance);
      cluster.pass(1_000);
    }
    const afterReport = () => {
      cluster.report('p');
      cluster.reconcile();
      return cluster.apps.get('web')!.rollout!.phase;
    };
    expect(cluster.apps.get('web')!.endpoints).toHaveLength(2);
    expect(afterReport()).toBe('running');
    cluster.pass(1_000);
    expect(afterReport()).toBe(phase);
  },
);

describe('a canary on a machine that is drained', () => {
  it('stays until the replicas that a larger number wants are there', () => {
    const cluster = clusterOf('a', 'b', 'c');
    cluster.put('web', 1, revision(1));
    cluster.settle();
    cluster.put('web', 3, revision(2), { ...atOnce, strategy: canary });
    const canaries = () => cluster.of('web').filter(({ revision: of }) => of === 'rev-2');
    const round = () => {
      cluster.reconcile();
      for (const instance of canaries()) cluster.obey(instance);
    };
    round();
    round();
    const [first] = canaries();
    cluster.nodes.get(first!.node!)!.intake = 'draining';
    for (let rounds = 0; rounds < 5; rounds++) round();
    expect(canaries().map(({ state, retiring }) => [state, retiring])).toEqual([
      ['ready', false],
      ['ready', false],
    ]);
    cluster.settle();
    expect(canaries().map(({ node }) => node)).not.toContain(first!.node);
  });
});

describe('a lost node', () => {
  it('keeps its instances in rotation until others are available elsewhere', () => {
    const cluster = clusterOf('a', 'b');
    cluster.addProxy('p');
    cluster.put('web', 2, revision(1));
    cluster.settle();
    cluster.nodes.get('a')!.state = 'lost';
    cluster.reconcile();
    const lost = cluster.of('web').find(({ state }) => state === 'lost')!;
    expect(cluster.apps.get('web')!.endpoints).toHaveLength(2);
    cluster.settle();
    expect(cluster.of('web').filter(({ state, node }) => state === 'ready' && node === 'b')).toHaveLength(2);
    expect(cluster.instances.get(lost.id)).toMatchObject({ state: 'lost', retiring: true });
    expect(cluster.apps.get('web')!.endpoints!.map(({ instance }) => instance)).not.toContain(lost.id);
    cluster.nodes.get('a')!.state = 'ready';
    cluster.settle();
    expect(cluster.of('web')).toHaveLength(2);
    expect(cluster.instances.has(lost.id)).toBe(false);
  });

  it('that is the only one leaves everything as it was, and is taken up again', () => {
    const cluster = clusterOf('a');
    cluster.put('web', 2, revision(1));
    cluster.settle();
    const before = cluster.of('web').map(({ id }) => id);
    cluster.nodes.get('a')!.state = 'lost';
    while (!cluster.reconcile());
    expect(cluster.apps.get('web')!.status.state).toBe('degraded');
    expect(cluster.apps.get('web')!.endpoints!.map(({ instance }) => instance)).toEqual(before);
    cluster.nodes.get('a')!.state = 'ready';
    cluster.settle();
    expect(cluster.of('web').map(({ id }) => id)).toEqual(before);
  });

  it('is not replaced while half of all nodes are lost', () => {
    const cluster = clusterOf('a', 'b', 'c', 'd');
    cluster.put('web', 4, revision(1));
    cluster.settle();
    cluster.nodes.get('a')!.state = 'lost';
    cluster.nodes.get('b')!.state = 'lost';
    while (!cluster.reconcile());
    expect(cluster.of('web')).toHaveLength(4);
    expect(cluster.apps.get('web')!.status.reason).toContain(
      'at least half of all nodes are lost (a, b), so nothing is replaced until they are back, or deleted with',
    );
    expect(isMassLoss([node('a', { state: 'lost' }), node('b')])).toBe(false);
  });

  it('is not replaced while so many others are suspect that half of all may be lost in a moment', () => {
    const cluster = clusterOf('a', 'b', 'c', 'd');
    cluster.put('web', 4, revision(1));
    cluster.settle();
    cluster.nodes.get('a')!.state = 'lost';
    cluster.nodes.get('b')!.state = 'suspect';
    while (!cluster.reconcile());
    expect(cluster.of('web')).toHaveLength(4);
    cluster.nodes.get('b')!.state = 'ready';
    cluster.settle();
    expect(cluster.of('web').filter(({ state }) => state === 'ready')).toHaveLength(4);
    expect(isMassLoss(['a', 'b', 'c'].map((id) => node(id, { state: 'suspect' })))).toBe(false);
  });

  it('and most others leave somebody in rotation when a new change comes meanwhile', () => {
    const cluster = clusterOf('a', 'b', 'c');
    cluster.put('web', 1, revision(1));
    cluster.settle();
    const [served] = cluster.of('web');
    cluster.put('web', 1, revision(2));
    cluster.reconcile();
    const begun = cluster.of('web').find(({ revision: of }) => of === 'rev-2')!;
    cluster.obey(begun);
    for (const host of cluster.nodes.values()) if (host.id !== begun.node) host.state = 'lost';
    cluster.put('web', 1, revision(3), { ...atOnce, strategy: canary });
    while (!cluster.reconcile());
    expect(cluster.apps.get('web')!.endpoints).toMatchObject([{ instance: served!.id, state: 'ready' }]);
  });

  it('and most others leave what may serve rather than what does not when it is scaled down meanwhile', () => {
    const cluster = clusterOf('a', 'b', 'c');
    cluster.put('web', 3, revision(1));
    cluster.settle();
    for (const id of ['a', 'b']) cluster.nodes.get(id)!.state = 'lost';
    cluster.observe(cluster.of('web').find(({ node }) => node === 'c')!.id, 'backoff');
    cluster.put('web', 1, revision(1));
    while (!cluster.reconcile());
    expect(cluster.apps.get('web')!.endpoints).toMatchObject([{ state: 'ready' }]);
  });

  it('that was deleted is waited for and counted no more', () => {
    const cluster = clusterOf('a', 'b', 'c', 'd');
    cluster.put('web', 4, revision(1));
    cluster.settle();
    for (const id of ['a', 'b']) cluster.nodes.get(id)!.state = 'lost';
    while (!cluster.reconcile());
    cluster.nodes.delete('a');
    cluster.settle();
    const living = cluster.of('web').filter(({ state }) => state === 'ready');
    expect(living.map(({ node }) => node).sort()).toEqual(['c', 'c', 'd', 'd']);
    expect(cluster.of('web').map(({ node }) => node)).not.toContain('a');
  });

  it('keeps an app from ending, which says what to do about it', () => {
    const cluster = clusterOf('a', 'b');
    cluster.put('web', 2, revision(1));
    cluster.settle();
    const on = (host: string) => cluster.of('web').find(({ node }) => node === host)!;
    cluster.nodes.get('a')!.state = 'lost';
    while (!cluster.reconcile());
    cluster.delete('web');
    cluster.settle();
    const reason = 'its node a is lost: it ends when that is back, or with `alto nodes delete a`';
    expect(on('a')).toMatchObject({ state: 'lost', reason });
    expect(cluster.apps.get('web')!.status).toMatchObject({
      state: 'deleting',
      reason: `1 instance to end; ${on('a').id}: ${reason}`,
    });
    cluster.nodes.delete('a');
    cluster.settle();
    expect(cluster.apps.size + cluster.instances.size).toBe(0);
  });
});
