/** What of the machine an app sees: programs and libraries, and of /etc what programs need to work. Read-only. */
import { lstatSync, readlinkSync } from 'node:fs';

/** A mount inside of the sandbox, as bubblewrap takes it. */
export type Mount = readonly string[];

const SYSTEM_FOLDERS = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Of names, certificates, time zones, fonts and languages; no users, passwords, hosts' keys or services' settings. */
const SETTINGS = [
  '/etc/alternatives',
  '/etc/ca-certificates',
  '/etc/crypto-policies',
  '/etc/fonts',
  '/etc/gai.conf',
  '/etc/host.conf',
  '/etc/hosts',
  '/etc/java',
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/localtime',
  '/etc/mime.types',
  '/etc/nsswitch.conf',
  '/etc/os-release',
  '/etc/pki',
  '/etc/protocols',
  '/etc/services',
  '/etc/ssl/certs',
  '/etc/ssl/openssl.cnf',
  '/etc/timezone',
];

/** `/usr` comes from whoever begins the sandbox: without it nothing runs. */
export function systemMounts(extra: readonly string[]): Mount[] {
  const folders = SYSTEM_FOLDERS.flatMap((folder): Mount[] => {
    const kind = kindOf(folder);
    if (kind === 'link') return [['--symlink', readlinkSync(folder), folder]];
    return kind === 'folder' ? [['--ro-bind', folder, folder]] : [];
  });
  const settings = [...SETTINGS, ...extra].map((path): Mount => ['--ro-bind-try', path, path]);
  return [...folders, ...settings];
}

function kindOf(path: string): 'link' | 'folder' | 'none' {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 'none';
  return found.isSymbolicLink() ? 'link' : 'folder';
}
