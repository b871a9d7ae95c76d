import type { Command } from 'commander';
import { Output } from './output';
import { makeProgram } from './program';
import { Session } from './session';

function makeTestProgram() {
  let printed = '';
  const stream = { write: (text: string) => (printed += text) };
  const program = makeProgram(new Session({ HOME: '/nonexistent' }), new Output(stream, stream, false));
  return { program, printed: () => printed };
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

describe('the alto command', () => {
  const { commands } = makeTestProgram().program;
  const names = commands.map((command) => command.name());
  const subcommands = commands.flatMap((command) =>
    command.commands.map((child) => [command.name(), child.name()] as const),
  );

  it('has every command of the reference', () => {
    const documented = 'up down status doctor login projects keys deploy apps secrets logs nodes services events'.split(
      ' ',
    );
    expect(names).toEqual(expect.arrayContaining(documented));
  });

  it('takes a mistyped subcommand for what it is', async () => {
    const { program } = makeTestProgram();
    let said = '';
    const apps = program.commands.find((command) => command.name() === 'apps')!;
    apps.configureOutput({ writeErr: (text) => (said += text) });
    await expect(program.parseAsync(['apps', 'lst'], { from: 'user' })).rejects.toThrow(/unknown command 'lst'/);
    expect(said).toContain('There are list, show, revisions');
  });

  it.each(names)('shows examples and --json in the help of %s', (name) => {
    const command = makeTestProgram().program.commands.find((candidate) => candidate.name() === name);
    const help = helpOf(command as Command);
    expect(help).toContain('Examples:\n  $ alto ');
    expect(help).toContain('--json');
  });

  it.each(subcommands)('shows examples and --json in the help of %s %s', (parent, name) => {
    const command = makeTestProgram().program.commands.find((candidate) => candidate.name() === parent);
    const help = helpOf(command?.commands.find((candidate) => candidate.name() === name) as Command);
    expect(help).toContain(`Examples:\n  $ alto ${parent} ${name}`);
    expect(help).toContain('--json');
  });
});
