/** The unprivileged user that PostgreSQL runs as when Alto is started by root: PostgreSQL refuses to run as root. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface SystemUser {
  uid: number;
  gid: number;
}

export const postgresUserName = 'alto-postgres';

/** @returns undefined where Alto does not run as root, so that PostgreSQL runs as the same user as everything. */
export async function ensurePostgresUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const present = await lookUp(postgresUserName);
  if (present !== undefined) return present;
  await makeUser(postgresUserName);
  const made = await lookUp(postgresUserName);
  if (made === undefined)
    throw new Error(`The system user ${postgresUserName} was made but is not listed in /etc/passwd.`);
  return made;
}

async function lookUp(name: string): Promise<SystemUser | undefined> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const fields = lines.find(([user]) => user === name);
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** shadow's command, then busybox's. */
async function makeUser(name: string): Promise<void> {
  const system = [
    '--system',
    '--user-group',
    '--no-create-home',
    '--home-dir',
    '/nonexistent',
    '--shell',
    '/usr/sbin/nologin',
  ];
  try {
    await execute('useradd', [...system, name]);
  } catch {
    await execute('adduser', ['-S', '-D', '-H', '-h', '/nonexistent', '-s', '/sbin/nologin', name]).catch(
      (error: Error) => {
        throw new Error(
          `PostgreSQL does not run as root, and the system user ${name} cannot be made (${error.message.trim()}): ` +
            `make it with \`useradd --system ${name}\`, or start Alto as an ordinary user.`,
        );
      },
    );
  }
}

/** @throws Error that names the folder which keeps `user` from reaching `path`. */
export async function requireReachable(path: string, user: SystemUser): Promise<void> {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new Error(
        `${folder} cannot be entered by ${postgresUserName}, the user that PostgreSQL runs as, so the data cannot lie in ${path}: ` +
          'choose another folder with ALTO_DATA_DIR (for root /var/lib/alto is usual).',
      );
    }
  }
}
