/** Whom the command talks to and as whom: options, then the environment, then the file of `alto login`, then this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { AltoClient } from '@alto/sdk';
import { type Configuration, configurationPath, readConfiguration } from './configuration';
import { CommandError, exitCodes } from './failure';
import { LocalAgent } from './local/agent';
import { localFetch } from './local/fetch';

export interface GlobalOptions {
  url?: string;
  project?: string;
  dataDir?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultUrl = 'http://127.0.0.1:4000';

export class Session {
  private options: GlobalOptions = {};

  constructor(readonly environment: Environment) {}

  /** Called once, before the command runs. */
  choose(options: GlobalOptions): void {
    this.options = options;
  }

  /** Folder of the Alto on this machine. */
  get dataDirectory(): string {
    const given = this.options.dataDir ?? this.environment.ALTO_DATA_DIR;
    if (given) return resolve(given);
    return process.getuid?.() === 0 ? '/var/lib/alto' : join(homedir(), '.alto');
  }

  get agent(): LocalAgent {
    return new LocalAgent(this.dataDirectory);
  }

  get configurationPath(): string {
    return configurationPath(this.environment);
  }

  get project(): string {
    return this.options.project ?? this.environment.ALTO_PROJECT ?? this.configuration().project ?? 'default';
  }

  /** @throws CommandError where no key is to be found. */
  async client(): Promise<AltoClient> {
    const { url, key, local } = await this.destination();
    return new AltoClient({
      baseUrl: url,
      apiKey: key,
      ...(local && { fetch: localFetch(() => this.agent.gatewaySockets()) }),
    });
  }

  /** Also where there is no key yet. */
  async url(): Promise<string> {
    return this.chosenUrl() ?? (await this.localUrl());
  }

  /** The proxy in front of the apps, where the Alto that is talked to is the one of this machine. */
  async localProxy(): Promise<{ port: number; domain: string } | undefined> {
    const { local } = await this.destination();
    const port = local ? (await this.agent.publicPorts())?.apps : undefined;
    return port === undefined ? undefined : { port, domain: this.environment.ALTO_APPS_DOMAIN ?? 'localhost' };
  }

  private async destination(): Promise<{ url: string; key: string; local: boolean }> {
    const { url: savedUrl, key: savedKey } = this.configuration();
    const url = this.chosenUrl();
    const key = this.environment.ALTO_API_KEY ?? (url === undefined || url === savedUrl ? savedKey : undefined);
    if (url !== undefined && key !== undefined) return { url, key, local: false };
    const local = this.localKey();
    if (key === undefined && local === undefined) throw new CommandError(...noKey(this.dataDirectory));
    return { url: url ?? (await this.localUrl()), key: key ?? local ?? '', local: url === undefined };
  }

  private chosenUrl(): string | undefined {
    return this.options.url ?? this.environment.ALTO_URL ?? this.configuration().url;
  }

  private async localUrl(): Promise<string> {
    const port = this.environment.ALTO_API_PORT ?? (await this.agent.publicPorts())?.api;
    return port === undefined ? defaultUrl : `http://127.0.0.1:${port}`;
  }

  private localKey(): string | undefined {
    const file = join(this.dataDirectory, 'keys', 'admin.key');
    try {
      return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
    } catch {
      return undefined;
    }
  }

  private configuration(): Configuration {
    return readConfiguration(this.configurationPath);
  }
}

function noKey(dataDirectory: string): [string, string, number] {
  return [
    `There is no API key: none was saved by \`alto login\`, and no Alto has been started in ${dataDirectory}.`,
    'Start one with `alto up`, or log in to one with `alto login --url <url> --key <key>`.',
    exitCodes.refused,
  ];
}
