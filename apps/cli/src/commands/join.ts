import { Command } from 'commander';
import { calledAs } from '../called-as';
import { examples } from '../examples';
import { startJoinedAgent } from '../local/join';
import { warnOfRefusal } from '../local/refusal';
import type { Output } from '../output';
import { readSecretValue } from '../secret-value';
import type { Session } from '../session';

export function joinCommand(session: Session, output: Output): Command {
  return new Command('join')
    .argument('[token]', 'from `alto nodes token`; unless given it is asked for, or read from standard input')
    .description('Let this machine run apps for an Alto that was started on another one')
    .addHelpText(
      'after',
      examples([
        ['alto join', 'asks for the token and does not show it'],
        ['ALTO_NODE_IP=10.0.0.2 alto join < token', "with this machine's address in the network of the other one"],
        ['alto join < token', 'again, with a new token: the machine stays who it is'],
      ]),
    )
    .action(async (given: string | undefined) => {
      const token = given ?? (await readSecretValue(question, process.stdin, (text) => process.stderr.write(text)));
      const status = await startJoinedAgent(session, output, token);
      output.result(status, () =>
        [
          `This machine has joined as ${status.nodeId}: agent ${status.version}, process ${status.pid}.`,
          `\`${calledAs} nodes\`, where Alto was started, lists it; \`${calledAs} down\` here ends what it runs.`,
        ].join('\n'),
      );
      warnOfRefusal(output, status);
    });
}

const question = { what: 'token', example: 'alto join < token' };
