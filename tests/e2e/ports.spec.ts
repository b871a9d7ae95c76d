/** An app that has no port for requests, and is given some later, on a whole Alto. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { computeOperations, loadBalancerOperations } from '@alto/contracts';
import { type Alto, eventually, startAlto } from '@alto/testing';

const project = 'default';
const app = 'worker';
const route = { project, route: 'jobs', host: 'jobs.example.com', app };
const folder = mkdtempSync(join(tmpdir(), 'alto-ports-'));
const withinMs = 60_000;

let alto: Alto;

beforeAll(async () => {
  alto = await startAlto();
}, 300_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await alto?.stop();
}, 300_000);

async function deploy(ports: string, program: string): Promise<void> {
  const lines = [`name: ${app}`, `ports: ${ports}`, 'replicas: 2', 'healthyMs: 300', 'command: [node, main.cjs]'];
  writeFileSync(join(folder, 'alto.yaml'), lines.join('\n'));
  writeFileSync(join(folder, 'main.cjs'), program);
  await alto.command('deploy', folder);
}

async function ask(host: string): Promise<{ status: number | undefined; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: string }>();
  const call = request(alto.appsUrl, { headers: { host } }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
  });
  call.on('error', reject).end();
  return await promise;
}

const instances = async () =>
  (await alto.client.call(computeOperations.instances.list, { project, app })).items.filter(
    ({ state }) => state === 'ready',
  );

const hosts = [`${app}.${project}.localhost`, route.host];

it('a worker runs, takes no requests, and its route says why', async () => {
  await deploy('[]', "setInterval(() => console.log('at work', process.env.PORT), 100)");
  const shown = await alto.command('apps', 'show', app);
  expect(shown).toContain('all 2 replicas are ready');
  expect(await instances()).toMatchObject([1, 2].map(() => ({ address: null, ports: {} })));
  expect(await alto.command('logs', app)).toContain('at work undefined');
  await alto.client.call(loadBalancerOperations.routes.put, route);
  await eventually(
    async () => {
      for (const host of hosts) expect(await ask(host)).toMatchObject({ status: 503 });
    },
    { withinMs },
  );
  const { status } = await alto.client.call(loadBalancerOperations.routes.get, { project, route: route.route });
  expect(status).toMatchObject({ state: 'no_targets', reason: expect.stringContaining('is ready at a port `http`') });
}, 120_000);

it('it is given ports, and is a worker again', async () => {
  const serve = (variable: string, answer: string) =>
    `require('node:http').createServer((_, response) => response.end('${answer}'))` +
    `.listen(process.env.${variable}, process.env.HOST);`;
  await deploy('[http, metrics]', serve('PORT', 'page') + serve('PORT_METRICS', 'numbers'));
  await eventually(
    async () => {
      for (const host of hosts) expect(await ask(host)).toEqual({ status: 200, body: 'page' });
    },
    { withinMs },
  );
  const [instance] = await instances();
  const { ip, port } = instance!.ports['metrics']!;
  expect(await (await fetch(`http://${ip}:${port}`)).text()).toBe('numbers');
  expect(await alto.command('apps', 'show', app)).toContain(`metrics=${ip}:${port}`);
  await deploy('[]', 'setInterval(() => {}, 100)');
  await eventually(
    async () => {
      for (const host of hosts) expect(await ask(host)).toMatchObject({ status: 503 });
      expect(await instances()).toMatchObject([1, 2].map(() => ({ address: null, revision: 3 })));
    },
    { withinMs },
  );
}, 120_000);
