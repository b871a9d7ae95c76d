/**
 * Images that Docker would fetch from a registry, made of what this machine has: a root file system with the programs,
 * the libraries they load and the contract of the official image (names, folders, variables), imported under its name.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface Image {
  readonly name: string;
  /** Instructions of a Dockerfile. */
  readonly changes: readonly string[];
  readonly fill: (root: RootFileSystem) => void;
}

const shell = [
  '/bin/sh',
  '/bin/cat',
  '/bin/mkdir',
  '/bin/mv',
  '/bin/rm',
  '/bin/sync',
  '/usr/bin/install',
  '/usr/bin/env',
];
const path = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';

export function baseImages(programs: { nats: string; haproxy: string; postgres: string }): Image[] {
  return [
    { name: 'node:24-slim', changes: [path], fill: (root) => root.programs([...shell, process.execPath], 'usr/bin') },
    {
      name: 'nats:2.12',
      changes: [path, 'ENTRYPOINT ["nats-server"]'],
      fill: (root) => root.server('nats-server', programs.nats),
    },
    { name: 'haproxy:2.6', changes: [path], fill: (root) => root.server('haproxy', programs.haproxy) },
    {
      name: 'postgres:18',
      changes: [path, 'ENTRYPOINT ["docker-entrypoint.sh"]'],
      fill: (root) => fillPostgres(root, programs.postgres),
    },
  ];
}

/** As the official image does it: the password from a file, the cluster below the volume, never as root. */
const postgresEntrypoint = `#!/bin/sh
set -e
cluster=/var/lib/postgresql/18/docker
if [ ! -s "$cluster/PG_VERSION" ]; then
  install -d -o 999 -g 999 /var/lib/postgresql/18 "$cluster"
  install -m 400 -o 999 "$POSTGRES_PASSWORD_FILE" /tmp/password
  setpriv --reuid=999 --regid=999 --clear-groups /opt/postgres/bin/initdb -D "$cluster" -U postgres \\
    --auth=scram-sha-256 --pwfile=/tmp/password --encoding=UTF8 --locale=C
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$cluster/pg_hba.conf"
fi
exec setpriv --reuid=999 --regid=999 --clear-groups /opt/postgres/bin/postgres -D "$cluster" -h '*' -k /tmp
`;

function fillPostgres(root: RootFileSystem, source: string): void {
  root.programs([...shell, '/bin/bash', '/usr/bin/setpriv'], 'usr/bin');
  root.copyFolder(source, 'opt/postgres');
  root.libraries([join(source, 'bin', 'postgres'), join(source, 'bin', 'initdb')]);
  root.script('usr/bin/docker-entrypoint.sh', postgresEntrypoint);
  root.script('usr/bin/pg_isready', '#!/bin/bash\n</dev/tcp/127.0.0.1/5432\n');
}

/** Imports the root file system made in `folder`. */
export async function importImage(docker: readonly string[], folder: string, image: Image): Promise<void> {
  image.fill(new RootFileSystem(folder));
  const [program = '', ...args] = docker;
  const changes = image.changes.flatMap((change) => ['--change', change]);
  const tar = spawn('tar', ['-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const load = spawn(program, [...args, 'import', ...changes, '-', image.name], {
    stdio: [tar.stdout, 'ignore', 'pipe'],
  });
  let said = '';
  load.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => load.once('close', resolve));
  if (code !== 0) throw new Error(`The image ${image.name} could not be imported: ${said}`);
}

export class RootFileSystem {
  constructor(readonly folder: string) {
    for (const made of [
      'usr/bin',
      'usr/sbin',
      'usr/lib',
      'usr/lib64',
      'etc',
      'root',
      'var',
      'proc',
      'sys',
      'dev',
      'tmp',
    ]) {
      mkdirSync(join(folder, made), { recursive: true });
    }
    chmodSync(join(folder, 'tmp'), 0o1777);
    for (const link of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${link}`, join(folder, link));
    writeFileSync(
      join(folder, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/tmp:/bin/sh\npostgres:x:999:999::/tmp:/bin/sh\n',
    );
    writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnode:x:1000:\npostgres:x:999:\n');
    writeFileSync(join(folder, 'etc/nsswitch.conf'), 'hosts: files dns\n');
    this.libraries(glibc());
  }

  programs(files: readonly string[], into: string): void {
    for (const file of files) this.copy(realpathSync(file), join(into, basename(file)));
    this.libraries(files);
  }

  /** A server is a program, or, where its package was unpacked for Alto alone, a script beside its libraries. */
  server(name: string, file: string): void {
    const program = realpathSync(file);
    const [unpacked] = /^.*\/servers\/[^/]+\/[^/]+(?=\/)/.exec(program) ?? [];
    if (unpacked === undefined) return this.programs([file], 'usr/sbin');
    this.programs([...shell, '/usr/bin/dirname', '/usr/bin/readlink'], 'usr/bin');
    this.copyFolder(unpacked, `opt/${name}`);
    // Those that the machine had were not unpacked.
    const files = readdirSync(unpacked, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const binaries = files.filter(({ name: file }) => /\.real$|\.so[.\d]*$/.test(file));
    this.libraries(
      binaries.map(({ parentPath, name: file }) => join(parentPath, file)),
      unpacked,
    );
    symlinkSync(join(`/opt/${name}`, program.slice(unpacked.length)), join(this.folder, 'usr/sbin', name));
  }

  /** What the loader would load for these. @param except a folder that is there already */
  libraries(files: readonly string[], except?: string): void {
    for (const library of new Set(files.flatMap(librariesOf))) {
      if (except !== undefined && library.startsWith(`${except}/`)) continue;
      this.copy(library, join(realpathSync(dirname(library)), basename(library)));
    }
  }

  copyFolder(from: string, to: string): void {
    const target = join(this.folder, to);
    mkdirSync(dirname(target), { recursive: true });
    // Node's own copy keeps links that lie deeper, although told not to.
    execFileSync('cp', ['-rL', from, target]);
  }

  script(to: string, text: string): void {
    writeFileSync(join(this.folder, to), text, { mode: 0o755 });
  }

  private copy(from: string, to: string): void {
    const target = join(this.folder, to);
    if (existsSync(target)) return;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(from, target);
  }
}

function librariesOf(file: string): string[] {
  try {
    const listing = execFileSync('ldd', [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const found = Array.from(listing.matchAll(/(?:=> |^\s*)(\/\S+)/gm), (match) => match[1] ?? '');
    return [...found, ...(/\.so[.\d]*$/.test(file) ? [file] : [])];
  } catch {
    return []; // statically linked
  }
}

/** All of the C library, as any Debian has it: compiled parts of packages load more than Node does. */
function glibc(): string[] {
  const files = execFileSync('dpkg', ['-L', 'libc6'], { encoding: 'utf8' }).split('\n');
  return files.filter((file) => /\/lib[^/]+\.so(\.\d+)*$/.test(file) && existsSync(file));
}
