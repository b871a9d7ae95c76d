/** A change of what each service owns, over the API. Each is new and can be made again without another effect. */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import {
  computeOperations,
  gatewayOperations,
  loadBalancerOperations,
  notificationsOperations,
  searchOperations,
  storageOperations,
} from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { pack } from 'tar-stream';

const project = 'default';

export const services = ['gateway', 'compute', 'storage', 'load-balancer', 'notifications', 'search'] as const;
export type Service = (typeof services)[number];

/** @returns an API key of the project with its secret */
export async function createKey(client: AltoClient, entry: number) {
  return await client.call(gatewayOperations.keys.create, { project, role: 'viewer', name: `entry ${entry}` });
}

/** @param name of the app, which runs nowhere */
export async function changeApp(client: AltoClient, name: string, entry: number): Promise<void> {
  const spec = { command: ['node', '-e', '0'], env: { ENTRY: String(entry) }, replicas: 0 };
  await client.call(computeOperations.apps.put, { project, app: name, ...spec });
}

/** Of content that was never there. @returns its hash and id */
export async function uploadBundle(
  client: AltoClient,
  entry: number,
  timeoutMs = 30_000,
): Promise<{ id: string; sha256: string }> {
  const archive = pack();
  archive.entry({ name: 'entry.txt' }, `entry ${entry}`);
  archive.finalize();
  const content = await buffer(archive.pipe(createGzip({ level: 1 })));
  const sha256 = createHash('sha256').update(content).digest('hex');
  const { id } = await client.upload(
    storageOperations.bundles.upload,
    { project, sha256 },
    new Blob([new Uint8Array(content)]),
    { contentType: 'application/gzip', timeoutMs },
  );
  return { id, sha256 };
}

/** The path that it leads from says which entry it was. */
export async function changeRoute(client: AltoClient, name: string, entry: number): Promise<void> {
  const leads = { host: `${name}.test`, path: `/${entry}`, redirect: { to: 'https://ledger.test' } };
  await client.call(loadBalancerOperations.routes.put, { project, route: name, ...leads });
}

/** @returns the id of the message */
export async function publish(client: AltoClient, entry: number): Promise<string> {
  const message = { project, topic: 'ledger', body: { entry } };
  return (await client.call(notificationsOperations.messages.publish, message)).id;
}

/** @returns the name of the document */
export async function putDocument(client: AltoClient, entry: number): Promise<string> {
  const address = { project, index: 'ledger', document: `entry-${entry}` };
  await client.call(searchOperations.documents.put, { ...address, fields: { title: 'acknowledged' } });
  return address.document;
}

/** One of each service. */
export const changes: Record<Service, (client: AltoClient, entry: number) => Promise<unknown>> = {
  gateway: createKey,
  compute: (client, entry) => changeApp(client, 'ledger', entry),
  storage: uploadBundle,
  'load-balancer': (client, entry) => changeRoute(client, 'ledger', entry),
  notifications: publish,
  search: putDocument,
};
