import { runs } from '@alto/testing/seed';
import fc from 'fast-check';
import type { RunView } from '../runtime/runtime';
import { HEALTHY_RESET_MS, backoffMs } from './backoff';
import {
  afterFailedStart,
  afterStart,
  decide,
  describeExit,
  emptyMemory,
  type Situation,
  type WorkloadMemory,
} from './workload.state';

const NOW = 1_000_000;
const running: RunView = { state: 'running', run: 1, pid: 10, startedAtMs: NOW - 1_000 };
const ended = (code: number, run = 1, endedAtMs = NOW): RunView => ({
  state: 'ended',
  run,
  exit: { code, signal: null },
  endedAtMs,
  leftovers: 0,
});

function situation(more: Partial<Situation> = {}): Situation {
  return {
    want: 'running',
    restart: 'always',
    oneShot: false,
    isProxy: false,
    stop: { signal: 'SIGTERM', graceMs: 5_000 },
    memory: emptyMemory,
    view: { state: 'none' },
    health: { state: 'unknown', reason: null },
    dead: null,
    blocked: null,
    nowMs: NOW,
    ...more,
  };
}

const memory = (more: Partial<WorkloadMemory>): WorkloadMemory => ({ ...emptyMemory, ...more });

describe('decide', () => {
  it('starts what is wanted and does not run', () => {
    expect(decide(situation())).toMatchObject({ phase: 'starting', action: 'start' });
  });

  it('waits for what blocks it, and says so', () => {
    expect(decide(situation({ blocked: 'Waits for nats' }))).toMatchObject({
      phase: 'waiting',
      action: 'none',
      reason: 'Waits for nats',
    });
  });

  it('starts a proxy that was ready again at once, and one that keeps ending like everything else', () => {
    const ready = memory({ readySinceMs: NOW - 60_000 });
    const first = decide(situation({ isProxy: true, view: ended(137), memory: ready }));
    expect(first).toMatchObject({ phase: 'starting', action: 'start', memory: { failures: 1, restarts: 1 } });
    const again = { ...first.memory, readySinceMs: NOW + 500 };
    const second = decide(
      situation({ isProxy: true, view: ended(137, 2, NOW + 1_000), memory: again, nowMs: NOW + 1_000 }),
    );
    expect(second).toMatchObject({ phase: 'backoff', memory: { failures: 2, notBeforeMs: NOW + 3_000 } });
    expect(decide(situation({ isProxy: true, view: ended(1) }))).toMatchObject({ phase: 'backoff' });
  });

  it('counts an end once and waits 1 s, doubling to 60 s', () => {
    const first = decide(situation({ view: ended(7) }));
    expect(first).toMatchObject({ phase: 'backoff', action: 'none' });
    expect(first.reason).toBe('Ended with code 7; starts again in 1 s (failed once)');
    expect(first.memory).toMatchObject({ failures: 1, restarts: 1, countedRun: 1, notBeforeMs: NOW + 1_000 });
    expect(decide(situation({ view: ended(7), memory: first.memory })).memory).toEqual(first.memory);
    expect([1, 2, 3, 6, 7, 50].map(backoffMs)).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  });

  it('keeps count of what was started again within a run', () => {
    const { memory: counted } = decide(situation({ view: { ...ended(137), revivals: 2 } as RunView }));
    expect(counted).toMatchObject({ failures: 1, restarts: 3 });
  });

  it('starts again when it is due', () => {
    const due = memory({ countedRun: 1, failures: 1, notBeforeMs: NOW, lastExit: { code: 7, signal: null } });
    expect(decide(situation({ view: ended(7), memory: due })).action).toBe('start');
  });

  it('counts an end that nobody saw from the time it happened', () => {
    const late = decide(situation({ view: ended(7, 1, NOW - 60_000) }));
    expect(late).toMatchObject({ action: 'start', memory: { restarts: 1 } });
  });

  it('forgets failures after ten healthy minutes', () => {
    const healthy = memory({ failures: 5, readyRun: 1, readySinceMs: NOW - HEALTHY_RESET_MS });
    expect(decide(situation({ view: ended(1), memory: healthy })).memory.failures).toBe(1);
    const young = memory({ failures: 5, readyRun: 1, readySinceMs: NOW - HEALTHY_RESET_MS + 1 });
    expect(decide(situation({ view: ended(1), memory: young })).memory.failures).toBe(6);
  });

  it('is ready by its checks, and since when is kept', () => {
    const ready = decide(situation({ view: running, health: { state: 'ready', reason: null } }));
    expect(ready).toMatchObject({ phase: 'ready', action: 'none', memory: { readyRun: 1, readySinceMs: NOW } });
    const later = situation({
      view: running,
      health: { state: 'ready', reason: null },
      memory: ready.memory,
      nowMs: NOW + 9,
    });
    expect(decide(later).memory.readySinceMs).toBe(NOW);
  });

  it('has nothing new to keep of what is as it was', () => {
    const failing = { state: 'failing', reason: '/ answered 500' } as const;
    const settled: Partial<Situation>[] = [
      { view: running, health: { state: 'ready', reason: null } },
      { view: running, health: failing },
      { view: running, health: failing, memory: memory({ readyRun: 1, readySinceMs: NOW - 5 }) },
      { view: running, memory: memory({ readyRun: 1, readySinceMs: NOW - 5 }) },
      { view: running, want: 'stopped' },
      { view: running, want: 'stopped', nowMs: NOW + 60_000 },
      { view: running, dead: '/ answered 500' },
      { view: ended(0), want: 'stopped' },
      { view: ended(1) },
      { view: ended(1), restart: 'never' },
      { view: ended(0), oneShot: true },
      { view: { ...ended(0), leftovers: 2 } as RunView },
    ];
    for (const one of settled) {
      const first = decide(situation(one)).memory;
      expect(decide(situation({ ...one, memory: first, nowMs: (one.nowMs ?? NOW) + 500 })).memory).toBe(first);
    }
  });

  it('says which limit holds a run back, ready or not', () => {
    const view = { ...running, warning: 'it was at its limit of 40 processes' };
    const reasonOf = (health: Situation['health']) => decide(situation({ view, health })).reason;
    expect(reasonOf({ state: 'ready', reason: null })).toBe('Ready; it was at its limit of 40 processes');
    expect(reasonOf({ state: 'failing', reason: '/ answered 500' })).toBe(
      '/ answered 500; it was at its limit of 40 processes',
    );
  });

  it('keeps what it knew of a ready run until a check says otherwise: an agent’s restart takes nobody out', () => {
    const known = memory({ readyRun: 1, readySinceMs: NOW - 5 });
    expect(decide(situation({ view: running, memory: known })).phase).toBe('ready');
    const failing = { state: 'failing', reason: '/ answered 500' } as const;
    expect(decide(situation({ view: running, memory: known, health: failing }))).toMatchObject({
      phase: 'unready',
      reason: '/ answered 500',
      memory: { readySinceMs: null },
    });
    expect(decide(situation({ view: running, health: failing })).phase).toBe('starting');
  });

  it('signals once, waits the grace, then kills', () => {
    const told = decide(situation({ want: 'stopped', view: running }));
    expect(told).toMatchObject({ phase: 'stopping', action: 'signal', memory: { stopRun: 1, stopSentAtMs: NOW } });
    const waiting = situation({ want: 'stopped', view: running, memory: told.memory });
    expect(decide({ ...waiting, nowMs: NOW + 4_999 })).toMatchObject({ action: 'none' });
    expect(decide({ ...waiting, nowMs: NOW + 5_000 })).toMatchObject({ phase: 'stopping', action: 'kill' });
  });

  it('goes through with a stop when the workload is wanted again, and starts it at once afterwards', () => {
    const told = memory({ stopRun: 1, stopSentAtMs: NOW });
    expect(decide(situation({ view: running, memory: told })).phase).toBe('stopping');
    expect(decide(situation({ view: ended(0), memory: told }))).toMatchObject({
      action: 'start',
      memory: { failures: 0, restarts: 0 },
    });
  });

  it('stops a run whose liveness fails, counts that as an end by itself and says why', () => {
    const dead = 'Liveness failed 3 times in a row: / answered 500';
    const told = decide(situation({ view: running, dead, memory: memory({ readyRun: 1 }) }));
    expect(told).toMatchObject({ phase: 'stopping', action: 'signal', reason: `${dead}; told to stop by SIGTERM` });
    const over = decide(situation({ view: ended(0), memory: told.memory, restart: 'on-failure' }));
    expect(over).toMatchObject({ phase: 'backoff', memory: { failures: 1, restarts: 1 } });
    expect(over.reason).toBe(`${dead}; starts again in 1 s (failed once)`);
    expect(decide(situation({ view: ended(0), memory: told.memory, restart: 'never' })).phase).toBe('failed');
    expect(afterStart(over.memory, 'x')).toMatchObject({ stopReason: null, lastError: null });
  });

  it('is exited when it is not wanted and not there', () => {
    expect(decide(situation({ want: 'stopped' }))).toMatchObject({ phase: 'exited', action: 'none' });
    expect(decide(situation({ want: 'stopped', view: ended(0) })).memory.countedRun).toBe(1);
  });

  it.each(['running', 'stopped'] as const)('kills what a run left behind before anything else (%s)', (want) => {
    const view = { ...ended(0), leftovers: 2 } as RunView;
    expect(decide(situation({ want, view }))).toMatchObject({ phase: 'stopping', action: 'kill' });
  });

  it('ends for good by the restart policy', () => {
    expect(decide(situation({ view: ended(0), restart: 'on-failure' })).phase).toBe('completed');
    expect(decide(situation({ view: ended(1), restart: 'on-failure' })).phase).toBe('backoff');
    expect(decide(situation({ view: ended(1), restart: 'never' })).phase).toBe('failed');
    expect(decide(situation({ view: ended(0), oneShot: true })).phase).toBe('completed');
    expect(decide(situation({ view: ended(1), oneShot: true })).phase).toBe('backoff');
    expect(decide(situation({ view: ended(0) })).phase).toBe('backoff');
  });

  it('backs off when a start fails before there is a process', () => {
    const failed = afterFailedStart(emptyMemory, 'no such bundle', NOW);
    const decision = decide(situation({ memory: failed }));
    expect(decision).toMatchObject({ phase: 'backoff', action: 'none' });
    expect(decision.reason).toBe('no such bundle; starts again in 1 s (failed once)');
  });
});

describe('decide, when the clock is set back', () => {
  const EARLIER = NOW - 3_600_000;

  it('waits no longer than a whole pause before it starts again', () => {
    const failed = afterFailedStart(afterFailedStart(emptyMemory, 'no such bundle', NOW), 'no such bundle', NOW);
    const set = decide(situation({ memory: failed, nowMs: EARLIER }));
    expect(set.reason).toBe('no such bundle; starts again in 2 s (failed 2 times in a row)');
    const next = situation({ memory: set.memory });
    expect(decide({ ...next, nowMs: EARLIER + 1_999 }).action).toBe('none');
    expect(decide({ ...next, nowMs: EARLIER + 2_000 }).action).toBe('start');
  });

  it('counts an end that seems to be of later from now on', () => {
    const { memory: counted } = decide(situation({ view: ended(1), nowMs: EARLIER }));
    expect(counted).toMatchObject({ failures: 1, notBeforeMs: EARLIER + 1_000 });
  });

  it('kills after no more than the whole grace', () => {
    const told = memory({ stopRun: 1, stopSentAtMs: NOW });
    const set = decide(situation({ want: 'stopped', view: running, memory: told, nowMs: EARLIER }));
    expect(set).toMatchObject({ action: 'none', memory: { stopSentAtMs: EARLIER } });
    const next = situation({ want: 'stopped', view: running, memory: set.memory });
    expect(decide({ ...next, nowMs: EARLIER + 5_000 }).action).toBe('kill');
  });

  it('counts healthy time from then on', () => {
    const ready = memory({ readyRun: 1, readySinceMs: NOW });
    expect(decide(situation({ view: running, memory: ready, nowMs: EARLIER })).memory.readySinceMs).toBe(EARLIER);
  });
});

describe('describeExit', () => {
  it('says in words how a run ended', () => {
    expect(describeExit({ code: 3, signal: null })).toBe('Ended with code 3');
    expect(describeExit({ code: null, signal: 'SIGKILL' })).toBe('Ended by SIGKILL');
    expect(describeExit({ code: null, signal: null })).toBe('Ended, and nobody saw how');
    expect(describeExit({ code: null, signal: 'SIGKILL', cause: 'out of memory' })).toBe(
      'Ended by SIGKILL: out of memory',
    );
    expect(describeExit({ code: 127, signal: null })).toMatch(/program was not found/);
  });
});

describe('decide, whatever happens', () => {
  type Event =
    'round' | 'want' | 'unwant' | 'crash' | 'forks' | 'agent restarts' | 'second' | 'minute' | 'clock set back';
  const events = fc.constantFrom<Event>(
    'round',
    'want',
    'unwant',
    'crash',
    'forks',
    'agent restarts',
    'second',
    'minute',
    'clock set back',
  );

  /** A machine with one workload, on which decisions are carried out. */
  class Machine {
    want: Situation['want'] = 'running';
    view: RunView = { state: 'none' };
    memory = emptyMemory;
    nowMs = NOW;
    forked = false;
    starts = 0;
    signals: number[] = [];

    apply(event: Event): void {
      if (event === 'want') this.want = 'running';
      if (event === 'unwant') this.want = 'stopped';
      if (event === 'crash' && this.view.state === 'running') this.end(1);
      if (event === 'forks') this.forked = this.view.state === 'running';
      if (event === 'agent restarts') this.memory = structuredClone(this.memory);
      if (event === 'second') this.nowMs += 1_000;
      if (event === 'minute') this.nowMs += 60_000;
      if (event === 'clock set back') this.nowMs -= 3_600_000;
      this.round();
    }

    round(): void {
      const health = { state: 'ready', reason: null } as const;
      const { want, view, memory, nowMs } = this;
      const decision = decide(situation({ want, view, memory, nowMs, health }));
      this.memory = decision.memory;
      if (decision.action === 'start') this.begin();
      if (decision.action === 'signal' && this.view.state === 'running') this.signals.push(this.view.run);
      if (decision.action === 'kill') this.kill();
    }

    private begin(): void {
      expect(this.want).toBe('running');
      expect(this.view.state === 'none' || (this.view.state === 'ended' && this.view.leftovers === 0)).toBe(true);
      expect(this.nowMs).toBeGreaterThanOrEqual(this.memory.notBeforeMs);
      this.starts++;
      this.view = { state: 'running', run: this.starts, pid: this.starts, startedAtMs: this.nowMs };
      this.memory = afterStart(this.memory, 'digest');
    }

    private kill(): void {
      this.forked = false;
      if (this.view.state === 'running') this.end(137);
      else if (this.view.state === 'ended') this.view = { ...this.view, leftovers: 0 };
    }

    private end(code: number): void {
      const leftovers = this.forked ? 1 : 0;
      this.view = { ...ended(code, this.starts, this.nowMs), leftovers } as RunView;
    }
  }

  it('never starts beside living processes, signals a run once, and gets where it is wanted', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60, size: 'max' }), (happens) => {
        const machine = new Machine();
        for (const event of happens) machine.apply(event);
        expect(new Set(machine.signals).size).toBe(machine.signals.length);
        for (let settle = 0; settle < 5; settle++) machine.apply('minute');
        expect(machine.view.state === 'running').toBe(machine.want === 'running');
        expect(machine.memory.restarts).toBeLessThan(machine.starts + 1);
      }),
      runs(500),
    );
  });
});
