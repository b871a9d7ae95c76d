import { afterDrain, afterSwitch, beginReplacement, nextStep } from './replacement.state';

const wish = { from: '1', to: '2' };

describe('a replacement', () => {
  it('starts each run in the spare slot before it drains the one it replaces', () => {
    let inUse = [0, 1];
    let replacement = beginReplacement(wish, inUse, undefined);
    const steps: string[] = [];
    for (;;) {
      const step = nextStep(replacement, inUse, 3);
      if (step.kind === 'done') break;
      steps.push(`${step.kind} ${step.slot}`);
      if (step.kind === 'drain') {
        replacement = afterDrain(replacement);
      } else {
        inUse = inUse.map((slot) => (slot === step.replaces ? step.slot : slot));
        replacement = afterSwitch(replacement, step.replaces);
      }
    }
    expect(steps).toEqual(['start 2', 'drain 0', 'start 0', 'drain 1']);
    expect(inUse).toEqual([2, 0]);
  });

  it('goes on where it was, and begins anew towards another release without forgetting whom to drain', () => {
    const begun = afterSwitch(beginReplacement(wish, [0], undefined), 0);
    expect(beginReplacement(wish, [1], begun)).toBe(begun);
    expect(beginReplacement({ from: '2', to: '1' }, [1], begun)).toEqual({
      from: '2',
      to: '1',
      waiting: [1],
      draining: 0,
    });
  });

  it('passes over slots that are no longer in use', () => {
    expect(nextStep({ ...wish, waiting: [1], draining: null }, [0], 2)).toEqual({ kind: 'done' });
  });
});
