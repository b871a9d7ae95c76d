/** The command line as a whole: options that every command has, and what becomes of errors. */
import { Command, CommanderError } from 'commander';
import { calledAs } from './called-as';
import { appCommands } from './commands/apps';
import { auditCommand } from './commands/audit';
import { completionCommand } from './commands/completion';
import { deleteCommand } from './commands/delete';
import { deployCommand } from './commands/deploy';
import { doctorCommand } from './commands/doctor';
import { downCommand } from './commands/down';
import { eventsCommand } from './commands/events';
import { joinCommand } from './commands/join';
import { keyCommands } from './commands/keys';
import { loginCommand } from './commands/login';
import { logsCommand } from './commands/logs';
import { masterKeyCommands } from './commands/master-keys';
import { nodeCommands } from './commands/nodes';
import { projectCommands } from './commands/projects';
import { quotaCommands } from './commands/quotas';
import { restartCommand } from './commands/restart';
import { rollbackCommand } from './commands/rollback';
import { rolloutsCommand } from './commands/rollouts';
import { routeCommands } from './commands/routes';
import { scaleCommand } from './commands/scale';
import { secretCommands } from './commands/secrets';
import { serviceCommands } from './commands/services';
import { statusCommand } from './commands/status';
import { upCommand } from './commands/up';
import { examples } from './examples';
import { exitCodes, explain } from './failure';
import { Output } from './output';
import { endWithReader } from './reader';
import { Session } from './session';

/** Runs one command. @returns the exit code; nothing is thrown. */
export async function run(argv: readonly string[]): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) endWithReader(stream, (code) => process.exit(code));
  const output = new Output(process.stdout, process.stderr, argv.includes('--json'));
  return await runWith(new Session(process.env), output, argv);
}

export async function runWith(session: Session, output: Output, argv: readonly string[]): Promise<number> {
  const program = makeProgram(session, output);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return output.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return misuse(error, output);
    return explain(error, output);
  }
}

/** People were told already, as it was found. */
function misuse({ code, exitCode, message }: CommanderError, output: Output): number {
  if (exitCode === 0) return 0;
  if (output.json) {
    const detail = code === 'commander.help' ? 'No command was given.' : message.replace(/^error: /, '');
    output.failure({ detail, nextStep: seeHelp }, []);
  }
  return exitCodes.usage;
}

const seeHelp = 'Run the command with --help for its options and examples.';

/** As the README has them. */
const codesInHelp = `
Exit codes:
  0    done
  1    failed, not done in time, or found something not well
  2    the command line or alto.yaml is wrong
  3    no key, or one that may not
  4    no such thing
  5    something does not answer
  6    a change failed and what ran before runs again
  130  interrupted
  141  nobody reads on what it prints`;

export function makeProgram(session: Session, output: Output): Command {
  const program = new Command(calledAs)
    .description("Alto: a cloud operating system for a team's own machines")
    .option('--json', 'print JSON for programs instead of text for people')
    .option('--url <url>', 'API to talk to (ALTO_URL)')
    .option('--project <name>', 'project to work in (ALTO_PROJECT; `default` unless chosen)')
    .option('--data-dir <folder>', "folder of this machine's Alto (ALTO_DATA_DIR)")
    .addHelpText(
      'after',
      examples([
        ['alto up --detach', 'start Alto on this machine'],
        ['alto deploy ./my-app', 'run an app'],
        ['alto status', 'see what runs'],
      ]),
    )
    .addHelpText('after', codesInHelp)
    .hook('preAction', (_, action) => session.choose(action.optsWithGlobals()));
  const makers = [
    upCommand,
    joinCommand,
    downCommand,
    statusCommand,
    doctorCommand,
    loginCommand,
    projectCommands,
    quotaCommands,
    keyCommands,
    deployCommand,
    appCommands,
    rolloutsCommand,
    scaleCommand,
    rollbackCommand,
    restartCommand,
    deleteCommand,
    logsCommand,
    routeCommands,
    secretCommands,
    masterKeyCommands,
    nodeCommands,
    serviceCommands,
    eventsCommand,
    auditCommand,
    completionCommand,
  ];
  for (const make of makers) program.addCommand(make(session, output));
  return inherit(program, output);
}

const help = { showGlobalOptions: true };

/** Errors of subcommands are thrown too, instead of ending the process, and for programs said as JSON by who catches them. */
function inherit(command: Command, output: Output): Command {
  command.configureHelp(help).exitOverride().showHelpAfterError(seeHelp);
  if (output.json) command.configureOutput({ writeErr: () => undefined });
  for (const child of command.commands) refuseOtherWords(command, inherit(child, output));
  return command;
}

/** `alto apps lst` is a mistaken command, and not `alto apps list` with a word too many. */
function refuseOtherWords(command: Command, child: Command): void {
  if (child.name() !== 'list' || child.registeredArguments.length > 0) return;
  child.allowExcessArguments().hook('preAction', (_, { args }) => {
    if (args.length === 0) return;
    const others = command.commands.map((each) => each.name()).join(', ');
    command.error(`error: unknown command '${args[0]}'\n(There are ${others}.)`, { code: 'commander.unknownCommand' });
  });
}
