import { type Machine, rotationOf, sealingKeyOf } from './rotation';

const machine = (name: string, masterKeys: string[] | null, sealedWith: string[] = []): Machine => ({
  name,
  masterKeys,
  sealedWith,
});
const ids = ['old', 'new'];

describe('the key that seals', () => {
  it('is the newest that every machine has which says so', () => {
    expect(sealingKeyOf(ids, [])).toBe('new');
    expect(sealingKeyOf(ids, [machine('a', ids), machine('b', null)])).toBe('new');
    expect(sealingKeyOf(ids, [machine('a', ids), machine('b', ['old'])])).toBe('old');
  });

  it('is the newest where machines have none in common: nothing could be right for all', () => {
    expect(sealingKeyOf(ids, [machine('a', ['other'])])).toBe('new');
  });
});

describe('a rotation', () => {
  const states = (machines: Machine[], values: Record<string, number>) =>
    rotationOf(ids, machines, new Map(Object.entries(values))).map(({ id, state, inUse, reason }) =>
      [id, state, inUse ? 'in use' : 'free', reason].join(' | '),
    );

  it('waits for machines without the new key, seals anew, and waits for what lies on their disks', () => {
    expect(states([machine('a', ids), machine('b', ['old'], ['old'])], { old: 2 })).toEqual([
      'old | sealing | in use | it seals what is set',
      'new | spreading | in use | it will seal once b has it too',
    ]);
    expect(states([machine('a', ids, ['old'])], { old: 1, new: 1 })[0]).toBe(
      'old | opening | in use | it still opens 1 value, until all is sealed anew',
    );
    expect(states([machine('a', ids, ['old'])], { new: 2 })[0]).toBe(
      'old | opening | in use | a has not taken over what was sealed anew yet',
    );
    expect(states([machine('a', ids, ['new'])], { new: 2 })[0]).toBe(
      'old | opening | free | it opens nothing any more and can be retired',
    );
  });

  it('shows a key that is missing while values need it', () => {
    expect(states([], { gone: 3 })[2]).toBe(
      'gone | missing | in use | 3 values cannot be opened: put the key back into the file',
    );
  });
});
