/**
 * How long a whole Alto takes to start, cold (nothing there yet) and warm (again on the same data), and what it costs
 * in memory when idle, each process named. Goal: 900 MB PSS at most.
 */
import { join } from 'node:path';
import { repositoryRoot } from '@alto/testing';
import { memoryOf } from './memory';
import { withAlto } from './with-alto';

const memoryGoalMb = 900;
const hello = join(repositoryRoot, 'examples', 'hello');

const seconds = (sinceMs: number) => ((performance.now() - sinceMs) / 1000).toFixed(1);

const preparing = performance.now();
await withAlto({}, async () => {});
console.log(`build and first start: ${seconds(preparing)} s`);

const cold = performance.now();
await withAlto({}, async (alto) => {
  console.log(`cold start (new data folder, built): ${seconds(cold)} s`);
  const deploying = performance.now();
  await alto.command('deploy', hello, '--project', 'default');
  console.log(`deploy of examples/hello, 3 replicas ready: ${seconds(deploying)} s`);

  const sums = new Map<string, { count: number; pssMb: number }>();
  for (const { name, pssMb } of await memoryOf(alto)) {
    const sum = sums.get(name) ?? { count: 0, pssMb: 0 };
    sums.set(name, { count: sum.count + 1, pssMb: sum.pssMb + pssMb });
  }
  const rows = Array.from(sums).sort(([, a], [, b]) => b.pssMb - a.pssMb);
  for (const [name, { count, pssMb }] of rows)
    console.log(`${pssMb.toFixed(1).padStart(8)} MB  ${String(count).padStart(2)} × ${name}`);
  const total = rows.reduce((sum, [, { pssMb }]) => sum + pssMb, 0);
  console.log(
    `${total.toFixed(1).padStart(8)} MB PSS in all; goal ${memoryGoalMb} MB: ${total <= memoryGoalMb ? 'met' : 'MISSED'}`,
  );
  if (total > memoryGoalMb) process.exitCode = 1;

  await alto.command('down');
  const warm = performance.now();
  await alto.start();
  console.log(`warm start (same data): ${seconds(warm)} s`);
});
