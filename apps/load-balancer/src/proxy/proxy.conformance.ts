/** What every engine must do: run with each, in tests. */
import { eventually } from '@alto/testing';
import { AnotherWriterError, type Endpoint, type ProxyEngine, type ProxyEngines, type ProxySpec } from './proxy.engine';

export interface ConformanceSubject {
  readonly engines: ProxyEngines;
  /** Starts an instance that answers with this id. */
  instance(id: string): Promise<Endpoint>;
  /** Ends an instance without telling the proxy. */
  kill(id: string): Promise<void>;
  /** Ids that answer requests for the host and path; none when it is unknown or nothing serves it. */
  answering(host: string, path?: string): Promise<string[]>;
  dispose(): Promise<void>;
}

export function describeProxyEngine(name: string, create: () => Promise<ConformanceSubject>): void {
  describe(`${name} as a proxy engine`, () => {
    let subject: ConformanceSubject;
    let engine: ProxyEngine;
    const settle = (spec: ProxySpec) =>
      eventually(async () => (await engine.apply(spec)).settled, { withinMs: 30_000 });
    const leads = async (host: string, ids: string[], path?: string) =>
      expect((await subject.answering(host, path)).sort()).toEqual(ids);

    beforeEach(async () => {
      subject = await create();
      engine = await subject.engines.open();
    });
    afterEach(async () => {
      await engine.close();
      await subject.dispose();
    });

    it('leads hosts to the ready endpoints of their pools', async () => {
      const [a1, a2, b1] = [await subject.instance('a1'), await subject.instance('a2'), await subject.instance('b1')];
      await settle({
        pools: [
          { id: 'a', endpoints: [a1, a2] },
          { id: 'b', endpoints: [b1] },
          { id: 'empty', endpoints: [] },
        ],
        hosts: [
          { host: 'a.test', pool: 'a' },
          { host: 'b.test', pool: 'b' },
          { host: 'empty.test', pool: 'empty' },
          { host: 'nowhere.test', pool: 'no-such-pool' },
        ],
      });
      await leads('a.test', ['a1', 'a2']);
      await leads('b.test', ['b1']);
      await leads('empty.test', []);
      await leads('nowhere.test', []);
      await leads('other.test', []);
    });

    it('has settled only when nothing begins at what was removed or drains', async () => {
      const [a1, a2] = [await subject.instance('a1'), await subject.instance('a2')];
      const hosts = [{ host: 'a.test', pool: 'a' }];
      await settle({ pools: [{ id: 'a', endpoints: [a1, a2] }], hosts });
      await settle({ pools: [{ id: 'a', endpoints: [{ ...a1, state: 'draining' }, a2] }], hosts });
      await leads('a.test', ['a2']);
      await settle({ pools: [{ id: 'a', endpoints: [a1] }], hosts });
      await leads('a.test', ['a1']);
      await settle({ pools: [], hosts });
      await leads('a.test', []);
    });

    it('takes every host that nothing else matches where one is *', async () => {
      const [a1, b1] = [await subject.instance('a1'), await subject.instance('b1')];
      const pools = [
        { id: 'a', endpoints: [a1] },
        { id: 'b', endpoints: [b1] },
      ];
      await settle({
        pools,
        hosts: [
          { host: '*', pool: 'a' },
          { host: 'b.test', pool: 'b' },
        ],
      });
      await leads('any.test', ['a1']);
      await leads('b.test', ['b1']);
      await settle({ pools, hosts: [{ host: 'any.test', pool: 'b' }] });
      await leads('any.test', ['b1']);
      await leads('b.test', []);
    });

    it('leads paths by the longest beginning that matches, by whole segments', async () => {
      const [a1, b1, c1] = [await subject.instance('a1'), await subject.instance('b1'), await subject.instance('c1')];
      const pools = [
        { id: 'a', endpoints: [a1] },
        { id: 'b', endpoints: [b1] },
        { id: 'c', endpoints: [c1] },
      ];
      await settle({
        pools,
        hosts: [
          { host: 'a.test', pool: 'a' },
          { host: 'a.test', path: '/api', pool: 'b' },
          { host: 'a.test', path: '/api/v2', pool: 'c' },
          { host: '*', path: '/only', pool: 'b' },
        ],
      });
      await leads('a.test', ['a1'], '/apis');
      await leads('a.test', ['b1'], '/api');
      await leads('a.test', ['b1'], '/api/v20?v=/api/v2');
      await leads('a.test', ['c1'], '/api/v2/x');
      await leads('a.test', ['a1'], '/only');
      await leads('other.test', ['b1'], '/only/this');
      await leads('other.test', [], '/');
      await settle({ pools, hosts: [{ host: 'a.test', path: '/api', pool: 'c' }] });
      await leads('a.test', [], '/apis');
      await leads('a.test', ['c1'], '/api/v2');
    });

    it('spreads a host over several pools, leaving out those that are not there', async () => {
      const [a1, b1] = [await subject.instance('a1'), await subject.instance('b1')];
      const pools = [
        { id: 'a', endpoints: [a1] },
        { id: 'b', endpoints: [b1] },
      ];
      const shares = (a: number, b: number) => ({
        host: 'a.test',
        shares: [
          { pool: 'a', weight: a },
          { pool: 'b', weight: b },
          { pool: 'no-such-pool', weight: 50 },
        ],
      });
      await settle({ pools, hosts: [shares(1, 0)] });
      await leads('a.test', ['a1']);
      await settle({ pools, hosts: [shares(0, 1)] });
      await leads('a.test', ['b1']);
      await settle({ pools, hosts: [shares(1, 1)] });
      await eventually(() => leads('a.test', ['a1', 'b1']));
    });

    it('does nothing when nothing changes, and goes on after being opened again', async () => {
      const a1 = await subject.instance('a1');
      const spec: ProxySpec = { pools: [{ id: 'a', endpoints: [a1] }], hosts: [{ host: 'a.test', pool: 'a' }] };
      await settle(spec);
      await settle(spec);
      await engine.close();
      await leads('a.test', ['a1']);
      engine = await subject.engines.open();
      await settle(spec);
      await leads('a.test', ['a1']);
    });

    it('tells of each target whether it gets requests, and why not', async () => {
      const [a1, a2, a3] = [await subject.instance('a1'), await subject.instance('a2'), await subject.instance('a3')];
      await settle({ pools: [{ id: 'a', endpoints: [a1, a2, { ...a3, state: 'draining' }] }], hosts: [] });
      await subject.kill('a2');
      await eventually(
        async () => {
          const reports = await engine.targets('a');
          expect(reports.map(({ endpoint, state }) => [endpoint, state])).toEqual([
            ['a1', 'up'],
            ['a2', 'down'],
            ['a3', 'draining'],
          ]);
          for (const { reason } of reports) expect(reason).not.toBe('');
        },
        { withinMs: 30_000 },
      );
      expect(await engine.targets('unknown')).toEqual([]);
    });

    it('has one master at a time', async () => {
      await expect(subject.engines.open()).rejects.toThrow(AnotherWriterError);
    });
  });
}
