import type { RunView } from '../runtime/runtime';
import type { SandboxStatus } from '../sandbox/level';
import type { AgentState } from '../state/agent-state';
import { Places } from './places';

const strongest: SandboxStatus = { level: 'sandboxed', reason: null, refusal: null, unbounded: [] };

function make(status: SandboxStatus = strongest, machineIp = '127.0.0.1', recorded: AgentState['places'] = {}) {
  const current = { places: { ...recorded } } as AgentState;
  const released: number[] = [];
  const sandbox = {
    status,
    gateway: '10.200.0.1',
    addressOf: (port: number) => (status.level === 'sandboxed' ? `10.200.0.${port}` : undefined),
    release: async (port: number) => void released.push(port),
  };
  const commit = async (change: (state: AgentState) => unknown) => void change(current);
  return { places: new Places({ sandbox, state: { current, commit }, machineIp }), current, released };
}

describe('Places', () => {
  it('gives a sandboxed instance its own address, and shows it the load balancer at the bridge', async () => {
    const { places, current } = make();
    await places.take('a', 7, () => undefined);
    expect(current.places).toEqual({ a: { level: 'sandboxed', ip: '10.200.0.7' } });
    const place = places.of('a', 7);
    expect(place).toEqual({ level: 'sandboxed', ip: '10.200.0.7', gateway: '10.200.0.1' });
    expect(places.reachedAt(place)).toBe('10.200.0.7');
    expect(places.weaknessOf(place)).toBeNull();
  });

  it('is reached at the machine’s address where others must reach it, and listens at its own', () => {
    const { places } = make(strongest, '192.0.2.7');
    expect(places.reachedAt(places.of('a', 7))).toBe('192.0.2.7');
    expect(places.of('a', 7).ip).toBe('10.200.0.7');
  });

  it('keeps what a running instance has, and gives its next run what there is now', async () => {
    const before = { a: { level: 'none', ip: '127.0.0.1' } } as const;
    const { places } = make(strongest, '127.0.0.1', before);
    expect(places.of('a', 7)).toMatchObject({ level: 'none', ip: '127.0.0.1', gateway: '127.0.0.1' });
    const changed: string[] = [];
    await expect(places.take('a', 7, () => changed.push(places.of('a', 7).ip))).rejects.toThrow(/sandboxed/);
    expect(changed).toEqual(['10.200.0.7']);
    await places.take('a', 7, () => changed.push('again'));
    expect(changed).toHaveLength(1);
  });

  it('forgets the places of what has ended meanwhile', async () => {
    const { places, current } = make(strongest, '127.0.0.1', {
      lives: { level: 'none', ip: '127.0.0.1' },
      ended: { level: 'none', ip: '127.0.0.1' },
    });
    const observe = async (id: string) => ({ state: id === 'lives' ? 'running' : 'ended' }) as RunView;
    await places.forgetEnded({ observe });
    expect(Object.keys(current.places)).toEqual(['lives']);
  });

  it('says in words what is weaker, and what is not bounded', () => {
    const weaknessOf = (status: SandboxStatus) => {
      const { places } = make(status);
      return places.weaknessOf(places.of('a', 7));
    };
    expect(weaknessOf({ level: 'none', reason: 'ALTO_SANDBOX=off', refusal: null, unbounded: [] })).toBe(
      'not sandboxed: ALTO_SANDBOX=off',
    );
    expect(
      weaknessOf({ level: 'restricted', reason: 'nft not found', refusal: null, unbounded: ['memory', 'CPU'] }),
    ).toBe('restricted: nft not found; without limits of memory and CPU');
  });

  it('gives back only what it has in the network', async () => {
    const { places, released } = make(strongest, '127.0.0.1', {
      a: { level: 'sandboxed', ip: '10.200.0.7' },
      b: { level: 'restricted', ip: '127.0.0.1' },
    });
    await places.leave('a', 7);
    await places.leave('b', 8);
    expect(released).toEqual([7]);
  });
});
