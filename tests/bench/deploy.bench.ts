/**
 * What Alto adds to starting a process: from `alto deploy` to the first answer through the proxy, against the bare
 * process until it answers. And what instances cost in memory: theirs, and Alto's own for looking after them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeOperations } from '@alto/contracts';
import { type Alto, eventually } from '@alto/testing';
import { appName, memoryOf } from './memory';
import { withAlto } from './with-alto';

const hello = fileURLToPath(new URL('../../../../../examples/hello', import.meta.url));
const project = 'default';
const rounds = 7;
const instanceCounts = [1, 10, 50];

/** Any answer but an error. */
function answers(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/healthz', headers: { host }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('error', () => resolve(false)).end();
  });
}

async function untilItAnswers(port: number, host: string): Promise<void> {
  await eventually(() => answers(port, host), { withinMs: 60_000, everyMs: 2 });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

async function bareStartMs(): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const bare = spawn(process.execPath, [join(hello, 'server.mjs')], {
    env: { ...process.env, PORT: String(port) },
    stdio: 'ignore',
  });
  await untilItAnswers(port, 'bare');
  const tookMs = performance.now() - startedAt;
  bare.kill('SIGKILL');
  await once(bare, 'exit');
  return tookMs;
}

/** @returns from the command's start to its end, at which all is known to stay healthy, and to the first answer */
async function deployMs(alto: Alto, name: string): Promise<{ command: number; answer: number }> {
  const startedAt = performance.now();
  const command = alto.command('deploy', hello, '--name', name, '--replicas', '1');
  await untilItAnswers(Number(new URL(alto.appsUrl).port), `${name}.${project}.localhost`);
  const answer = performance.now() - startedAt;
  await command;
  return { command: performance.now() - startedAt, answer };
}

/** The control plane alone: from the request to change the app to the first answer, without the command's own start. */
async function putMs(alto: Alto, name: string): Promise<number> {
  const { spec } = await alto.client.call(computeOperations.apps.get, { project, app: 'first' });
  const startedAt = performance.now();
  await alto.client.call(computeOperations.apps.put, { project, app: name, ...spec });
  await untilItAnswers(Number(new URL(alto.appsUrl).port), `${name}.${project}.localhost`);
  return performance.now() - startedAt;
}

async function scaled(alto: Alto, replicas: number): Promise<void> {
  const { spec } = await alto.client.call(computeOperations.apps.get, { project, app: 'first' });
  const resources = { ...spec.resources, cpuMillis: 10 };
  await alto.client.call(computeOperations.apps.put, {
    project,
    app: 'first',
    ...spec,
    resources,
    replicas,
    healthyMs: 0,
  });
  await eventually(
    async () => {
      const { status } = await alto.client.call(computeOperations.apps.get, { project, app: 'first' });
      return status.state === 'running' && status.ready === replicas;
    },
    { withinMs: 240_000, everyMs: 200 },
  );
}

async function reportMemory(alto: Alto): Promise<void> {
  const processes = await memoryOf(alto);
  const total = (of: (name: string) => boolean) =>
    processes.filter(({ name }) => of(name)).reduce((sum, { pssMb }) => sum + pssMb, 0);
  const instances = processes.filter(({ name }) => name === appName).length;
  const columns = [
    `${String(instances).padStart(3)} instances`,
    `apps ${total((name) => name === appName).toFixed(0)} MB`,
    `sandboxes ${total((name) => name === 'sandboxes').toFixed(1)} MB`,
    `shims ${total((name) => name === 'shims').toFixed(1)} MB`,
    `agent ${total((name) => name === 'node-agent').toFixed(0)} MB`,
    `all of Alto's own ${total((name) => name !== appName).toFixed(0)} MB PSS`,
  ];
  console.log(columns.join('   '));
}

const median = (values: readonly number[]) => values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0;
const shown = (values: readonly number[]) =>
  `${median(values).toFixed(0)} ms (${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)})`;

// As much memory as all instances ask for, whatever the machine has.
await withAlto({ env: { ALTO_NODE_MEMORY_BYTES: String(2 ** 40) } }, async (alto) => {
  await deployMs(alto, 'first');
  const bare: number[] = [];
  const deployed: { command: number; answer: number }[] = [];
  const put: number[] = [];
  for (let round = 0; round < rounds; round++) {
    bare.push(await bareStartMs());
    deployed.push(await deployMs(alto, `deploy-${round}`));
    put.push(await putMs(alto, `put-${round}`));
  }
  console.log(`median of ${rounds} (least–most), hello with one replica, from the start to its first answer:`);
  console.log(`  bare process              ${shown(bare)}`);
  console.log(`  PUT of an app             ${shown(put)}`);
  console.log(`  alto deploy               ${shown(deployed.map(({ answer }) => answer))}`);
  console.log(`  alto deploy has returned  ${shown(deployed.map(({ command }) => command))}`);
  for (let round = 0; round < rounds; round++) {
    for (const app of [`deploy-${round}`, `put-${round}`])
      await alto.client.call(computeOperations.apps.delete, { project, app });
  }
  await eventually(async () => (await alto.client.call(computeOperations.apps.list, { project })).items.length === 1, {
    withinMs: 60_000,
    everyMs: 200,
  });
  for (const count of instanceCounts) {
    await scaled(alto, count);
    await reportMemory(alto);
  }
});
