import { KillPoints } from './kill-points';

describe('kill points', () => {
  let killed: number;
  const kill = process.kill.bind(process);
  beforeEach(() => {
    killed = 0;
    process.kill = ((pid: number, signal: string) => {
      expect([pid, signal]).toEqual([process.pid, 'SIGKILL']);
      return (killed += 1) > 0;
    }) as typeof process.kill;
  });
  afterEach(() => {
    process.kill = kill;
  });

  it('end the process where it was told to die, and nowhere else', () => {
    const points = new KillPoints();
    points.arm('before COMMIT', 2);
    for (const what of ['before COMMIT', 'after COMMIT', 'after COMMIT']) points.pass(what);
    expect(killed).toBe(0);
    points.pass('before COMMIT');
    expect(killed).toBe(1);
  });

  it('tell what was passed since it was asked', () => {
    const points = new KillPoints();
    points.pass('earlier');
    points.record();
    for (const what of ['one', 'two', 'one']) points.pass(what);
    expect([points.recorded, killed]).toEqual([['one', 'two', 'one'], 0]);
  });
});
