/** From a folder to an app that answers. */
import { openAsBlob } from 'node:fs';
import { type App, type AppPlan, type AppSpec, httpPort, storageOperations } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import { CommandError, exitCodes } from '../failure';
import { interruption, orInterrupted } from '../interruption';
import { readAppFile } from './app-file';
import { packFolder } from './archive';
import { followChange } from './follow';
import { type HostChange, inWords, leadHosts, nameOf, planHosts } from './hosts';
import { isReached } from './reach';

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
  /** It is enough that every instance serves; whether they stay healthy is not waited for. */
  untilReady?: boolean;
  /** Through which requests must reach the app before it counts as deployed; left out where none can be asked. */
  proxy?: { port: number; domain: string };
  /** Ends it. The client has to end its calls with it too. */
  interrupted?: AbortSignal;
}

export interface DeploymentPlan {
  app: string;
  plan?: AppPlan;
  /** Those that do not lead to the app yet. */
  hosts: readonly HostChange[];
}

/** What deploying would change. Nothing changes, but the files are uploaded. */
export async function planDeployment(client: AltoClient, request: DeployRequest): Promise<DeploymentPlan> {
  return await orInterrupted(request.interrupted, nothingChanged, async () => {
    const { app, spec, hosts } = await prepare(client, request);
    const { project } = request;
    const { plan } = await client.apps.put({ project, app, ...spec, dryRun: 'true' });
    return { app, plan, hosts: await planHosts(client, { project, app, hosts }) };
  });
}

export function stepsOf({ app, plan, hosts }: DeploymentPlan): string[] {
  return [...(plan?.steps ?? []), ...hosts.map((change) => inWords(change, app))];
}

/**
 * A host that leads elsewhere today is taken from there only once the app is ready: until then, and where the app does
 * not become ready, what answers at it goes on answering.
 * @throws CommandError when the app does not become ready, with the reason; interrupted, with what goes on
 */
export async function deploy(client: AltoClient, request: DeployRequest): Promise<App> {
  const { project, interrupted } = request;
  const prepared = await orInterrupted(interrupted, nothingChanged, async () => {
    const { app, spec, hosts } = await prepare(client, request);
    const changes = await planHosts(client, { project, app, hosts });
    interrupted?.throwIfAborted();
    return { app, spec, hosts, changes };
  });
  const { app, spec } = prepared;
  const accepted = await orInterrupted(
    interrupted,
    () => perhapsChanged(app),
    async () => await client.apps.put({ project, app, ...spec }),
  );
  return await orInterrupted(
    interrupted,
    () => goesOn(prepared),
    async () => await finish(client, request, prepared, accepted),
  );
}

interface Planned extends Prepared {
  changes: readonly HostChange[];
}

async function finish(
  client: AltoClient,
  request: DeployRequest,
  { app, spec, hosts, changes }: Planned,
  accepted: App,
): Promise<App> {
  const { project, progress } = request;
  const place = { project, app, hosts };
  const moving = changes.filter(({ instead }) => instead !== undefined);
  await leadHosts(
    client,
    place,
    changes.filter((change) => !moving.includes(change)),
  );
  const led = hosts.filter((host) => !moving.some((change) => change.host === host));
  for (const host of led) progress(`${nameOf(host)} leads to ${app}`);
  for (const change of moving) progress(`${inWords(change, app)}, once it is ready`);
  const isReachable = spec.ports.includes(httpPort) ? reachability(request, app, led, spec.readiness.path) : undefined;
  const deployed = await followChange(client, { ...request, accepted, isReachable });
  await leadHosts(client, place, moving);
  for (const { host } of moving) progress(`${nameOf(host)} leads to ${app}`);
  return deployed;
}

const nothingChanged = () => interruption('Nothing was changed.', 'Deploy again when you like.');

const perhapsChanged = (app: string) =>
  interruption(`Alto had just been asked to deploy ${app}.`, `\`alto rollouts ${app}\` shows whether it has begun.`);

function goesOn({ app, changes }: Planned): CommandError {
  const stay = changes.filter(({ instead }) => instead !== undefined).map(({ host }) => nameOf(host));
  return interruption(
    `Alto goes on deploying ${app}.${stay.length === 0 ? '' : ` ${app} was not given ${stay.join(', ')}.`}`,
    `\`alto apps show ${app}\` shows how it goes, \`alto rollouts ${app}\` how its changes went.`,
  );
}

interface Prepared {
  app: string;
  spec: AppSpec;
  hosts: readonly string[];
}

/** Reads what the folder says of the app, and uploads it. */
async function prepare(client: AltoClient, request: DeployRequest): Promise<Prepared> {
  const { name, hosts: inFile, ...file } = readAppFile(request.directory, request.name);
  const hosts = [...new Set([...inFile, ...(request.hosts ?? [])])];
  if (hosts.length > 0 && !file.ports.includes(httpPort)) throw noPortFor(hosts, name);
  const bundle = await uploadFolder(client, request);
  return { app: name, spec: { ...file, replicas: request.replicas ?? file.replicas, bundle }, hosts };
}

function noPortFor(hosts: readonly string[], app: string): CommandError {
  return new CommandError(
    `hosts: ${hosts.map(nameOf).join(', ')} cannot lead to ${app}, which has no port \`${httpPort}\`.`,
    `Add \`${httpPort}\` to \`ports\` in its alto.yaml, or leave the hosts out.`,
    exitCodes.usage,
  );
}

/** The proxy is told of host names and of addresses one after the other: each host is asked for. */
function reachability(
  { proxy, project, interrupted }: DeployRequest,
  app: string,
  hosts: readonly string[],
  path: string,
) {
  if (proxy === undefined) return undefined;
  const { port, domain } = proxy;
  const places = [`${app}.${project}.${domain}`, ...hosts].map((host) => ({
    port,
    host: host === '*' ? `127.0.0.1:${port}` : host,
    path,
  }));
  return async () => {
    interrupted?.throwIfAborted();
    return (await Promise.all(places.map(isReached))).every(Boolean);
  };
}

async function uploadFolder(
  client: AltoClient,
  { directory, project, progress, interrupted }: DeployRequest,
): Promise<string> {
  const archive = await packFolder(directory, interrupted);
  try {
    progress(
      `packed ${archive.files} ${archive.files === 1 ? 'file' : 'files'}, ${Math.ceil(archive.sizeBytes / 1024)} KiB`,
    );
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
