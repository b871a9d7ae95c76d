import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** A unix socket's path has at most 108 bytes on Linux and 104 on macOS, the ending NUL included. */
const SOCKET_PATH_BYTES_MAX = 100;

/** Where everything of one Alto lies on this machine. Pure: making the folders is `create`. */
export class DataDirectory {
  constructor(readonly root: string) {}

  /** Secrets, 0700: master key, nkeys and credentials, the admin key. */
  get keys(): string {
    return this.path('keys');
  }

  /** What seals secrets; of mode 0600. */
  get masterKeyFile(): string {
    return this.path('keys', 'master.key');
  }

  /** With which this machine has joined another's Alto; absent where it has an Alto of its own. */
  get joinTokenFile(): string {
    return this.path('keys', 'join.token');
  }

  get state(): string {
    return this.path('state');
  }

  get stateFile(): string {
    return this.path('state', 'agent.json');
  }

  /** Immutable: `releases/<service>/<version>/`. */
  get releases(): string {
    return this.path('releases');
  }

  /** Node, PostgreSQL, NATS and HAProxy as they are run. */
  get runtime(): string {
    return this.path('runtime');
  }

  get postgres(): string {
    return this.path('postgres');
  }

  get nats(): string {
    return this.path('nats');
  }

  get haproxy(): string {
    return this.path('haproxy');
  }

  /** `services/<name>/`: each service's own files. */
  get services(): string {
    return this.path('services');
  }

  /** Immutable: `bundles/<sha256>/`. */
  get bundles(): string {
    return this.path('bundles');
  }

  /** `instances/<id>/`: throw-away working folders. */
  get instances(): string {
    return this.path('instances');
  }

  /** `workloads/<id>/`: the shims' protocol. */
  get workloads(): string {
    return this.path('workloads');
  }

  get logs(): string {
    return this.path('logs');
  }

  get run(): string {
    return this.path('run');
  }

  service(name: string): string {
    return join(this.services, name);
  }

  release(service: string, version: string): string {
    return join(this.releases, service, version);
  }

  /**
   * The path of a unix socket: in `run/`, or where that is too long for the system in a short private folder.
   * `name` is a file name such as `agent.sock`.
   */
  socket(name: string): string {
    const direct = join(this.run, name);
    if (Buffer.byteLength(direct) <= SOCKET_PATH_BYTES_MAX) return direct;
    return join(this.shortRun, name);
  }

  /** Stays the same for the same data directory, so that processes started on their own find each other. */
  get shortRun(): string {
    const hash = createHash('sha256').update(this.root).digest('hex').slice(0, 12);
    return join('/tmp', `alto-${hash}`);
  }

  /** Makes all folders; those that others' processes must pass through can be entered but not listed. */
  create(): void {
    mkdirSync(this.root, { recursive: true, mode: 0o711 });
    for (const open of [this.workloads, this.runtime, this.releases, this.run, this.postgres, this.services]) {
      mkdirSync(open, { recursive: true, mode: 0o711 });
    }
    for (const closed of [this.keys, this.state, this.nats, this.haproxy, this.bundles, this.instances, this.logs]) {
      mkdirSync(closed, { recursive: true, mode: 0o700 });
    }
  }

  private path(...parts: string[]): string {
    return join(this.root, ...parts);
  }
}
