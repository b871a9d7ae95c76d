import { eventually } from '@alto/testing';
import { Pulse } from './pulse';

const times = { everyMs: 20, silentAfterMs: 150 };

/** A server that answers while it is told to. */
function server() {
  const waiting: (() => void)[] = [];
  const state = { answers: true, asked: 0, told: [] as boolean[] };
  const ask = () => {
    state.asked++;
    if (state.answers) return Promise.resolve();
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const thaw = () => {
    state.answers = true;
    for (const answer of waiting.splice(0)) answer();
  };
  return { state, thaw, pulse: new Pulse(ask, (isSilent) => state.told.push(isSilent), times) };
}

let made: ReturnType<typeof server>;
beforeEach(() => (made = server()));
afterEach(() => made.pulse.stop());

it('says nothing of a server that answers', async () => {
  const { state } = made;
  await eventually(() => state.asked > 10);
  expect(state.told).toEqual([]);
});

it('tells when the server falls silent, and when it is heard again', async () => {
  const { state, thaw } = made;
  state.answers = false;
  await eventually(() => state.told.length === 1);
  expect(state.told).toEqual([true]);
  thaw();
  await eventually(() => state.told.length === 2);
  expect(state.told).toEqual([true, false]);
});

it('does not take its own stillness for that of the server', async () => {
  const { state } = made;
  const until = performance.now() + 600;
  while (performance.now() < until);
  await eventually(() => state.asked > 3);
  expect(state.told).toEqual([]);
});
