/** From a folder to an app that answers. */
import { openAsBlob } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { AltoError, type App, storageOperations } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { CommandError } from '../failure';
import { readAppFile } from './app-file';
import { packFolder } from './archive';

export interface DeployRequest {
  directory: string;
  project: string;
  /** In place of what alto.yaml says. */
  name?: string;
  replicas?: number;
  /** Beside those of alto.yaml. */
  hosts?: readonly string[];
  /** Until every replica is ready. */
  timeoutMs: number;
  progress: (message: string) => void;
}

const pollMs = 300;

/** @throws CommandError when the app does not become ready, with the reason. */
export async function deploy(client: AltoClient, request: DeployRequest): Promise<App> {
  const { directory, project, progress } = request;
  const { name: fileName, hosts, ...spec } = readAppFile(directory);
  const app = request.name ?? fileName;
  const bundle = await uploadFolder(client, request);
  await client.apps.put({ project, app, ...spec, replicas: request.replicas ?? spec.replicas, bundle });
  for (const host of [...new Set([...hosts, ...(request.hosts ?? [])])]) {
    const route = host === '*' ? `${app}-any` : routeName(host);
    await client.routes.put({ project, route, host, app });
    progress(`${host === '*' ? 'every host that nothing else matches' : host} leads to ${app}`);
  }
  return await untilReady(client, { ...request, name: app });
}

async function uploadFolder(client: AltoClient, { directory, project, progress }: DeployRequest): Promise<string> {
  const archive = await packFolder(directory);
  try {
    progress(`packed ${archive.files} files, ${Math.ceil(archive.sizeBytes / 1024)} KiB`);
    const body = await openAsBlob(archive.path);
    const input = { project, sha256: archive.sha256 };
    const bundle = await client.upload(storageOperations.bundles.upload, input, body, {
      contentType: 'application/gzip',
    });
    progress(`uploaded as ${bundle.id}`);
    return bundle.id;
  } finally {
    await archive.remove();
  }
}

async function untilReady(client: AltoClient, request: DeployRequest & { name: string }): Promise<App> {
  const address = { project: request.project, app: request.name };
  const deadline = Date.now() + request.timeoutMs;
  let last = '';
  for (;;) {
    const app = await client.apps.get(address);
    const { state, ready, desired, updated, reason } = app.status;
    const line = `${ready} of ${desired} ready${reason === '' ? '' : `: ${reason}`}`;
    if (line !== last) request.progress(line);
    last = line;
    if (updated >= desired && state !== 'progressing') return app;
    if (state === 'degraded')
      throw new CommandError(
        `${request.name} does not become ready: ${reason}`,
        `\`alto logs ${request.name}\` shows what it says.`,
      );
    if (Date.now() > deadline)
      throw new AltoError('timeout', {
        message: `${request.name} is not ready after ${request.timeoutMs / 1000} s: ${reason}`,
        nextStep: `\`alto apps show ${request.name}\` shows each instance.`,
      });
    await setTimeout(pollMs);
  }
}

/** `shop.example.com` → `shop-example-com`: at most 40 characters, as names are. */
function routeName(host: string): string {
  return host
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40)
    .replace(/-+$/, '');
}
