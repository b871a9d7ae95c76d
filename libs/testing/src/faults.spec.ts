import { everyCallFailing, failing, faulty } from './faults';

class Register {
  values: string[] = [];
  async add(value: string): Promise<number> {
    return this.values.push(value);
  }
  size(): number {
    return this.values.length;
  }
}

describe('failing', () => {
  it('fails the named call alone, before it takes effect', async () => {
    const register = new Register();
    const port = failing(register, { call: 2 });
    await port.add('a');
    await expect(port.add('b')).rejects.toThrow('Injected fault at call 2');
    await port.add('c');
    expect(register.values).toEqual(['a', 'c']);
  });

  it('fails after the effect when asked to', async () => {
    const register = new Register();
    const port = failing(register, { call: 1, when: 'after', error: new Error('answer lost') });
    await expect(port.add('a')).rejects.toThrow('answer lost');
    expect(register.values).toEqual(['a']);
  });

  it('throws at once from a method that is not async, and counts only the methods asked for', async () => {
    const { port, ...rest } = faulty(new Register(), { call: 1, methods: ['size'] });
    await port.add('a');
    expect(() => port.size()).toThrow('Injected fault');
    expect(rest).toBeDefined();
  });
});

describe('everyCallFailing', () => {
  it('makes each call fail once', async () => {
    const lengths: number[] = [];
    const calls = await everyCallFailing(
      () => new Register(),
      async (port) => {
        for (const value of ['a', 'b', 'c']) await port.add(value).catch(() => {});
        lengths.push(port.values.length);
      },
    );
    expect(calls).toBe(3);
    expect(lengths).toEqual([2, 2, 2, 3]);
  });
});
