import { Batches } from './batches';

it('writes what came meanwhile together, in order', async () => {
  const written: number[][] = [];
  const batches = new Batches<number>(async (rows) => void written.push([...rows]), 4);
  await Promise.all([1, 2, 3, 4, 5, 6, 7].map((row) => batches.add(row)));
  await batches.add(8);
  expect(written).toEqual([[1], [2, 3, 4, 5], [6, 7], [8]]);
});

it('tells exactly those whose batch failed, and goes on', async () => {
  let fails = true;
  const batches = new Batches<number>(async () => {
    if (fails) throw new Error('away');
  }, 10);
  await expect(batches.add(1)).rejects.toThrow('away');
  fails = false;
  await expect(batches.add(2)).resolves.toBeUndefined();
});
