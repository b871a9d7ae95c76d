import { Health } from './health';
import { Lifecycle } from './lifecycle';

describe('readiness', () => {
  it('needs every check and a service that serves', () => {
    const lifecycle = new Lifecycle();
    const health = new Health(lifecycle);
    let problem: string | undefined = 'PostgreSQL cannot be reached';
    health.register('database', () => problem);
    health.register('nats', () => undefined);
    lifecycle.serve();
    expect(health.report()).toEqual({
      ready: false,
      checks: { database: { ready: false, reason: 'PostgreSQL cannot be reached' }, nats: { ready: true } },
    });
    problem = undefined;
    expect(health.report().ready).toBe(true);
  });

  it('ends with the drain and does not come back', async () => {
    const lifecycle = new Lifecycle();
    lifecycle.serve();
    await lifecycle.drain();
    lifecycle.serve();
    expect(new Health(lifecycle).report()).toMatchObject({ ready: false });
  });
});

describe('drain', () => {
  it('tells every listener once, also when one of them fails', async () => {
    const lifecycle = new Lifecycle();
    const told: string[] = [];
    lifecycle.onDrain(() => {
      throw new Error('no');
    });
    lifecycle.onDrain(async () => void told.push('second'));
    expect(await lifecycle.drain()).toEqual([new Error('no')]);
    expect(await lifecycle.drain()).toEqual([]);
    expect(told).toEqual(['second']);
  });
});
