import { Command } from 'commander';
import { asCalled } from '../called-as';
import { runChecks, type CheckResult } from '../doctor/checks';
import { examples } from '../examples';
import type { Output } from '../output';
import type { Session } from '../session';

export function doctorCommand(session: Session, output: Output): Command {
  return new Command('doctor')
    .description('Check this machine and say what to do')
    .addHelpText(
      'after',
      examples([
        ['alto doctor', 'check everything'],
        ['alto doctor --json', 'the same for a program'],
      ]),
    )
    .action(async () => {
      const results = await runChecks(session);
      output.result({ checks: results }, () => results.map((result) => line(output, result)).join('\n'));
      if (results.some(({ state }) => state === 'failed')) output.exitCode = 1;
    });
}

function line(output: Output, { name, state, message, nextStep }: CheckResult): string {
  const mark = {
    ok: output.paint('green', '✓'),
    warning: output.paint('yellow', '!'),
    failed: output.paint('red', '✗'),
  }[state];
  const advice = nextStep === undefined ? '' : `\n    ${output.paint('bold', '→')} ${nextStep}`;
  return asCalled(`${mark} ${name.padEnd(18)} ${message}${advice}`);
}
