import type { Command } from 'commander';
import { exitCodes } from './failure';
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

const isSet = (command: Command) => command.name() === 'set';

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

  it('says what is wrong with a limit', async () => {
    const { program } = makeTestProgram();
    let said = '';
    const set = program.commands.find((command) => command.name() === 'quotas')!.commands.find(isSet)!;
    set.configureOutput({ writeErr: (text) => (said += text) });
    await expect(program.parseAsync(['quotas', 'set', 'apples=1'], { from: 'user' })).rejects.toThrow('apples=1');
    expect(said).toMatch(/apples=1: must be <quota>=<number>.*quotas are apps, /);
  });

  it('lists every exit code in its help', () => {
    const help = helpOf(makeTestProgram().program);
    for (const code of [0, ...Object.values(exitCodes)]) expect(help).toMatch(new RegExp(`^ +${code} +\\w`, 'm'));
  });

  it.each(names)('shows examples in the help of %s', (name) => {
    const command = makeTestProgram().program.commands.find((candidate) => candidate.name() === name);
    const help = helpOf(command as Command);
    expect(help).toContain('Examples:\n  $ alto ');
  });

  it.each(subcommands)('shows examples in the help of %s %s', (parent, name) => {
    const command = makeTestProgram().program.commands.find((candidate) => candidate.name() === parent);
    const help = helpOf(command?.commands.find((candidate) => candidate.name() === name) as Command);
    expect(help).toContain(`Examples:\n  $ alto ${parent} ${name}`);
  });
});
