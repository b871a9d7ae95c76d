import { eventually } from './eventually';

describe('eventually', () => {
  it('returns what the probe returns once it holds', async () => {
    let calls = 0;
    const result = await eventually(
      () => {
        calls += 1;
        if (calls === 1) throw new Error('not yet');
        return calls < 3 ? false : 'there';
      },
      { everyMs: 1 },
    );
    expect(result).toBe('there');
    expect(calls).toBe(3);
  });

  it('takes an assertion that passes', async () => {
    await eventually(() => expect(1).toBe(1));
  });

  it('tells the last failure when the time is over', async () => {
    const probe = () => {
      throw new Error('still empty');
    };
    await expect(eventually(probe, { withinMs: 5, everyMs: 1 })).rejects.toThrow('Not within 5 ms: still empty');
    await expect(eventually(() => false, { withinMs: 5, everyMs: 1 })).rejects.toThrow('the probe returned false');
  });
});
