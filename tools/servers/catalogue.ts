/** The servers, the oldest versions that do, and where each comes from. */

export interface ServerPackage {
  name: 'nats-server' | 'haproxy' | 'bwrap' | 'nft';
  /** Alto starts without it, too: what is so then, in words. */
  without?: string;
  /** Where it is there at all; everywhere unless given. */
  platform?: NodeJS.Platform;
  minimumVersion: string;
  /** How it is asked for its version, and where in the answer that stands. */
  versionArguments: readonly string[];
  versionPattern: RegExp;
  debianPackage: string;
  /** Path of the program inside the Debian package. */
  debianPath: string;
  /** Official builds by `<platform>-<arch>`; none where the project publishes none. */
  release?: {
    version: string;
    url: (version: string, target: string) => string;
    /** Path of the program inside the archive. */
    path: (version: string, target: string) => string;
    /** SHA-256 in hexadecimal by the project's own name for the target. */
    checksums: Readonly<Record<string, string>>;
  };
}

/** JetStream with everything that Alto uses of it is complete from 2.9.10 on. */
const natsServer: ServerPackage = {
  name: 'nats-server',
  minimumVersion: '2.9.10',
  versionArguments: ['--version'],
  versionPattern: /v(\d+\.\d+\.\d+)/,
  debianPackage: 'nats-server',
  debianPath: 'usr/sbin/nats-server',
  release: {
    version: '2.12.15',
    url: (version, target) =>
      `https://github.com/nats-io/nats-server/releases/download/v${version}/nats-server-v${version}-${target}.tar.gz`,
    path: (version, target) => `nats-server-v${version}-${target}/nats-server`,
    // The values with which the project builds its own container images (nats-io/nats-docker, 2.12.x).
    checksums: {
      'linux-amd64': '58ab8131f819263897e2fc38e503e1b755b63bcafeecc7d12582487df48ca15e',
      'linux-arm64': 'b724db99fefbf8f5c808baa82819ee50350aee9734017e4a478f7e545cef3ab6',
    },
  },
};

/** The project publishes sources only. */
const haproxy: ServerPackage = {
  name: 'haproxy',
  minimumVersion: '2.6.0',
  versionArguments: ['-v'],
  versionPattern: /version (\d+\.\d+(?:\.\d+)?)/,
  debianPackage: 'haproxy',
  debianPath: 'usr/sbin/haproxy',
};

/** Walls apps in. The project publishes sources only, and other systems than Linux have nothing alike. */
const bubblewrap: ServerPackage = {
  name: 'bwrap',
  without: 'no app is started unless ALTO_SANDBOX=optional allows it without a sandbox',
  platform: 'linux',
  minimumVersion: '0.4.0',
  versionArguments: ['--version'],
  versionPattern: /(\d+\.\d+\.\d+)/,
  debianPackage: 'bubblewrap',
  debianPath: 'usr/bin/bwrap',
};

/** Says what an app reaches on the network. */
const nftables: ServerPackage = {
  name: 'nft',
  without: 'apps have no network of their own',
  platform: 'linux',
  minimumVersion: '0.9.0',
  versionArguments: ['--version'],
  versionPattern: /v(\d+\.\d+(?:\.\d+)?)/,
  debianPackage: 'nftables',
  debianPath: 'usr/sbin/nft',
};

export const serverPackages: readonly ServerPackage[] = [natsServer, haproxy, bubblewrap, nftables];

/** The project's name for this machine, e.g. `linux-amd64`. */
export function releaseTarget(platform: string = process.platform, arch: string = process.arch): string {
  return `${platform}-${arch === 'x64' ? 'amd64' : arch}`;
}

/** @returns a negative number when `left` is older, 0 when equal, a positive one when newer. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number));
  for (let place = 0; place < 3; place++) {
    const difference = (a?.[place] ?? 0) - (b?.[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** What a person has to do on this system, judged by the package manager that is there. */
export function installCommand(server: ServerPackage, has: (program: string) => boolean): string {
  const name = server.without !== undefined ? server.debianPackage : server.name;
  const commands: readonly [packageManager: string, command: string][] = [
    ['apt-get', `sudo apt-get update && sudo apt-get install ${name}`],
    ['dnf', `sudo dnf install ${name}`],
    ['apk', `sudo apk add ${name}`],
    ['pacman', `sudo pacman -S ${name}`],
    ['zypper', `sudo zypper install ${name}`],
    ['brew', `brew install ${name}`],
  ];
  const known = commands.find(([packageManager]) => has(packageManager));
  return known === undefined ? `install the package ${name}` : `install it with \`${known[1]}\``;
}
