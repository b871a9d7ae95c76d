import type { LogLine } from '@alto/contracts';
import { mergeLines } from './merge';

const line = (instance: string, second: number | null, text: string): LogLine => ({
  instance,
  stream: 'output',
  time: second === null ? null : new Date(second * 1_000).toISOString(),
  text,
});

it('puts lines in order of time and keeps the order of each instance, also where times are missing', () => {
  const merged = mergeLines([
    [line('a', 1, 'a1'), line('a', 4, 'a2'), line('a', null, 'a3'), line('a', 4, 'a4')],
    [line('b', 2, 'b1'), line('b', 4, 'b2'), line('b', 5, 'b3')],
  ]);
  expect(merged.map(({ text }) => text)).toEqual(['a1', 'b1', 'a2', 'a3', 'a4', 'b2', 'b3']);
});
