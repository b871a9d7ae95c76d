/** A command line of bubblewrap for one app. Pure: what is mounted from where follows from the plan alone. */
import { posix } from 'node:path';
import type { Confinement, Launch } from '../runtime/runtime';
import type { Mount } from './system-view';

/** Where an app finds its files, whatever the machine calls them. */
export const inside = { app: '/app', home: '/home/app', temporary: '/tmp' } as const;

export interface SandboxPlan {
  /** Path of bubblewrap. */
  bwrap: string;
  /** The app's name, which becomes its host name. */
  name: string;
  /** Folders of the instance on the machine. */
  folders: { app: string; home: string; temporary: string };
  /** Files of the instance that stand for the machine's. */
  settings: { passwd: string; group: string; hosts: string; resolv: string };
  system: readonly Mount[];
  /** Folders with programs of Alto's own that apps may run, read-only: Node. */
  programs: readonly string[];
  /** Its own user, and what becomes it; undefined where the agent is not root: then it is the agent's user. */
  user: { uid: number; setpriv: string } | undefined;
  /** Its own network and what enters it; undefined: the machine's. */
  network: { nsenter: string; namespace: string } | undefined;
  /** Compiled filter of system calls. */
  filter: string | undefined;
}

/**
 * What the C library and its loader obey. They may not be in the environment of a program that still has privileges:
 * they are set by a program that runs as the app.
 */
const OBEYED_BY_LOADERS =
  /^(LD_.*|GLIBC_.*|MALLOC_.*|GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS|TZDIR)$/;

/** The same launch, walled in. */
export function confine<L extends Launch>(launch: L, plan: SandboxPlan): L & { confinement: Confinement } {
  const obeyed = Object.entries(launch.env).filter(([name]) => OBEYED_BY_LOADERS.test(name));
  const env = Object.fromEntries(Object.entries(launch.env).filter(([name]) => !OBEYED_BY_LOADERS.test(name)));
  const setters = obeyed.length === 0 ? [] : ['/usr/bin/env', ...obeyed.map(([name, value]) => `${name}=${value}`)];
  return {
    ...launch,
    env,
    command: [...becomeUser(plan), ...setters, ...launch.command],
    confinement: {
      launcher: [...enterNetwork(plan), plan.bwrap, ...isolation(plan), ...mounts(plan)],
      filter: plan.filter,
      // Last: should the pipe break off, there is nothing to be run.
      options: ['--chdir', inside.app, '--ro-bind', '/usr', '/usr', '--remount-ro', '/'],
      user: plan.user && { uid: plan.user.uid, gid: plan.user.uid },
    },
  };
}

function enterNetwork({ network }: SandboxPlan): string[] {
  return network === undefined ? [] : [network.nsenter, `--net=${network.namespace}`, '--'];
}

/** Privileges that becoming another user needs are given up with it. */
function isolation({ name, user }: SandboxPlan): string[] {
  const apart = ['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--hostname', name];
  const privileges = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((one) => ['--cap-add', one]);
  if (user === undefined) return [...apart, '--unshare-user', '--cap-drop', 'ALL'];
  return [...apart, '--cap-drop', 'ALL', ...privileges];
}

function becomeUser({ user }: SandboxPlan): string[] {
  if (user === undefined) return [];
  const identity = ['--reuid', String(user.uid), '--regid', String(user.uid), '--clear-groups'];
  return [user.setpriv, ...identity, '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--'];
}

/** Folders that bubblewrap makes on the way to a mount by itself can be entered by root alone. */
function foldersTo(paths: readonly string[]): string[][] {
  const above = (path: string): string[] => {
    const parent = posix.dirname(path);
    return parent === '/' ? [] : [...above(parent), parent];
  };
  return [...new Set(paths.flatMap(above))].map((folder) => ['--dir', folder]);
}

function mounts({ folders, settings, system, programs }: SandboxPlan): string[] {
  const targets = system.map((mount) => mount.at(-1) ?? '/');
  return [
    ...foldersTo([...targets, inside.home, '/etc/passwd', '/var/tmp']),
    ...system,
    ['--ro-bind', settings.passwd, '/etc/passwd'],
    ['--ro-bind', settings.group, '/etc/group'],
    ['--ro-bind', settings.hosts, '/etc/hosts'],
    ['--ro-bind', settings.resolv, '/etc/resolv.conf'],
    ['--proc', '/proc'],
    ['--dev', '/dev'],
    ['--perms', '1777', '--tmpfs', '/dev/shm'],
    ['--dir', '/run'],
    ['--bind', folders.temporary, inside.temporary],
    ['--bind', folders.temporary, '/var/tmp'],
    ['--bind', folders.home, inside.home],
    ['--bind', folders.app, inside.app],
    // After the app's own folders: Alto's may lie in the machine's /tmp.
    ...foldersTo(programs),
    ...programs.map((folder) => ['--ro-bind-try', folder, folder]),
  ].flat();
}
