import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Output } from '../output';
import { makeProgram } from '../program';
import { Session } from '../session';
import { completionScript } from './script';

function makeScript(shell: 'bash' | 'zsh'): string {
  const stream = { write: () => true };
  return completionScript(makeProgram(new Session({}), new Output(stream, stream, false)), shell);
}

/** What bash offers after these words; the last is the one being typed. */
function offered(...words: string[]): string[] {
  const question = [
    makeScript('bash'),
    `alto() { case "$*" in '--project other'*) echo other-app ;; *) printf 'shop\\nblog\\n' ;; esac; }`,
    `COMP_WORDS=(alto ${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length}`,
    '_alto',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n');
  return execFileSync('bash', ['-c', question], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

describe('the completion script', () => {
  it('offers commands, their subcommands and options', () => {
    expect(offered('de')).toEqual(['deploy', 'delete'].filter((word) => offered('').includes(word)));
    expect(offered('routes', 'p')).toEqual(['put']);
    expect(offered('deploy', '--rep')).toEqual(['--replicas']);
    expect(offered('deploy', '--js')).toEqual(['--json']);
  });

  it('offers the names that the API lists', () => {
    expect(offered('apps', 'show', '')).toEqual(['shop', 'blog']);
    expect(offered('--json', 'apps', 'show', 's')).toEqual(['shop']);
  });

  it('asks for the names in the project that the line says', () => {
    expect(offered('--project', 'other', 'apps', 'show', '')).toEqual(['other-app']);
  });

  it('lies where bash looks for it after the command of the help, also for the first time', () => {
    const home = mkdtempSync(join(tmpdir(), 'alto-completion-'));
    try {
      const stream = { write: () => true };
      const program = makeProgram(new Session({}), new Output(stream, stream, false));
      let help = '';
      const completion = program.commands.find((command) => command.name() === 'completion');
      completion?.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      const typed = /^ +\$ (.*\balto completion bash > \S+)/m.exec(help)?.[1] ?? 'false';
      execFileSync('bash', ['-ec', `alto() { echo "$*"; }\n${typed}`], { env: { ...process.env, HOME: home } });
      const script = join(home, '.local', 'share', 'bash-completion', 'completions', 'alto');
      expect(readFileSync(script, 'utf8')).toBe('completion bash\n');
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  it('runs in zsh by its emulation of bash', () => {
    expect(makeScript('zsh')).toContain('bashcompinit');
  });
});
