/**
 * A completion script for bash, made of the commands as they are declared. zsh runs the same by its emulation. What can
 * be known beforehand is in the script and costs nothing; names of apps, routes and nodes are asked for, from the very
 * command that is being typed: `alto` or the `./alto` of a clone.
 */
import type { Command } from 'commander';

/** Arguments whose values the API lists, by the name of the argument. */
export const listedArguments = {
  app: 'apps',
  route: 'routes',
  node: 'nodes',
  secret: 'secrets',
  service: 'services',
} as const;

/** Options that decide what there is. */
const chosen = ['--project', '--url', '--data-dir'];

interface Entry {
  /** Words that lead to the command, e.g. `/apps/show`. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
  /** What its first argument can be, if the API lists it. */
  readonly lists: string | undefined;
}

export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const entries = entriesOf(program, '', optionsOf(program));
  const known = entries.map(({ path }) => path).filter((path) => path !== '');
  const cases = entries.map(({ path, commands, options, lists }) => {
    const names = lists === undefined ? '' : ` $("$program" "\${given[@]}" completion names ${lists} 2>/dev/null)`;
    return `    '${path}') words="${commands.join(' ')}${names}" options='${options.join(' ')}' ;;`;
  });
  const emulation = shell === 'zsh' ? ['autoload -U +X compinit bashcompinit && compinit && bashcompinit'] : [];
  return [
    `# Completion of alto for ${shell}, made by \`alto completion ${shell}\`.`,
    ...emulation,
    // zsh's own name for the folders of programs is `path`: it must stay as it is.
    '_alto() {',
    '  local program=${COMP_WORDS[0]/#\\~/$HOME} current=${COMP_WORDS[COMP_CWORD]} place= words= options= index',
    '  local given=()',
    '  for ((index = 1; index < COMP_CWORD; index++)); do',
    // Names are those of the project, and of the Alto, that the line says.
    '    case "${COMP_WORDS[index]}" in',
    `      ${chosen.join('|')}) given+=("\${COMP_WORDS[index]}" "\${COMP_WORDS[index + 1]}"); index=$((index + 1)); continue ;;`,
    '    esac',
    '    case "$place/${COMP_WORDS[index]}" in',
    `      ${known.join('|')}) place="$place/\${COMP_WORDS[index]}" ;;`,
    '    esac',
    '  done',
    '  case "$place" in',
    ...cases,
    '  esac',
    '  case "$current" in',
    '    -*) words=$options ;;',
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    'complete -o default -F _alto alto',
  ].join('\n');
}

function entriesOf(command: Command, path: string, inherited: readonly string[]): Entry[] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  const [first] = command.registeredArguments;
  const own: Entry = {
    path,
    commands: children.map((child) => child.name()),
    options: path === '' ? inherited : [...optionsOf(command), ...inherited],
    lists: listedArguments[(first?.name() ?? '') as keyof typeof listedArguments],
  };
  return [own, ...children.flatMap((child) => entriesOf(child, `${path}/${child.name()}`, inherited))];
}

function optionsOf(command: Command): string[] {
  return command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]));
}
