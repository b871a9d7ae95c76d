/** What is left of the sandbox without root, by a process of a user without privileges: as root the test becomes one. */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildChild, type ChildProgram } from '@alto/testing';
import type { SandboxStatus } from './level';
import { findPrograms } from './programs';

/** Copies that everybody may read: neither the checkout, Node nor an unpacked bubblewrap need lie in such a place. */
const programs = mkdtempSync(join(tmpdir(), 'alto-programs-'));
chmodSync(programs, 0o755);
const PATH = `${programs}:/usr/bin:/bin`;
/** Of nobody here, and small enough for the user namespace of a container. */
const user = process.getuid?.() === 0 ? { uid: 54_321, gid: 54_321 } : undefined;

/** Why an unprivileged user can have no sandbox here, in words: tried without anything of Alto's. */
function obstacle(): string | undefined {
  const { bwrap } = findPrograms(process.env.PATH ?? '');
  if (bwrap === undefined) return 'bubblewrap is not installed';
  const copy = copyOf(bwrap, 'bwrap');
  try {
    const args = ['--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', '/usr/bin/true'];
    execFileSync(copy, args, { ...user, cwd: tmpdir(), stdio: 'pipe' });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer };
    return stderr?.toString().trim() || message;
  }
}

function copyOf(file: string, name: string): string {
  const copy = join(programs, name);
  copyFileSync(file, copy);
  chmodSync(copy, 0o755);
  return copy;
}

const missing = obstacle();
const wherePossible = (name: string, test: () => Promise<void>) =>
  missing === undefined ? it(name, test, 120_000) : it['skip'](`${name} (this machine: ${missing})`, test);

describe('a sandbox without root', () => {
  let root: string;
  let program: ChildProgram;
  beforeAll(async () => {
    program = await buildChild(new URL('./fixtures/neighbours.ts', import.meta.url));
    root = mkdtempSync(join(tmpdir(), 'alto-restricted-'));
  });
  afterAll(async () => {
    for (const folder of [root, programs]) rmSync(folder, { recursive: true, force: true });
    await program.remove();
  });

  const beside = async (script: string) => {
    const [main, node] = [copyOf(program.file, 'main.mjs'), copyOf(process.execPath, 'node')];
    writeFileSync(join(root, 'key'), 'of Alto', { mode: 0o644 });
    if (user) chownSync(root, user.uid, user.gid);
    const options = { ...user, cwd: root, env: { PATH }, timeout: 100_000, killSignal: 'SIGKILL' } as const;
    const { stdout } = await promisify(execFile)(node, [main, JSON.stringify({ root, PATH, script })], options);
    return JSON.parse(stdout) as { status: SandboxStatus; lines: string[] };
  };

  wherePossible('keeps files and processes apart, takes every privilege, and says why it is no more', async () => {
    const { status, lines } = await beside(
      `pwd; cat data; touch made /tmp/made $HOME/made && echo written; touch /usr/x /etc/x /x
       cat ${root}/key ${root}/instances/neighbour/app/data; ls ${root}
       ps -e --no-headers -o comm | sort | tr '\\n' ' '; echo; kill -9 $1 || echo 'no such neighbour'
       grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '; unshare -U true; echo end`,
    );
    const reason = 'apps have no network of their own: the agent does not run as root';
    expect(status).toEqual({ level: 'restricted', reason, refusal: null, unbounded: [] });
    const said = lines.join('\n');
    expect(lines.slice(0, 3)).toEqual(['/app', 'private to curious', 'written']);
    expect(said.match(/cannot touch/g)).toHaveLength(3);
    expect(said).toContain(`${root}/key: No such file`);
    expect(said).toContain(`${root}/instances/neighbour/app/data: No such file`);
    expect(said).not.toMatch(/of Alto|private to neighbour/);
    expect(said).toMatch(/^((bwrap|sh|ps|sort|tr) )+$/m);
    expect(said).toContain('no such neighbour');
    expect(lines).toEqual(expect.arrayContaining(['CapEff: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2', 'end']));
    expect(said).toMatch(/unshare failed.*not permitted/);
  });
});
