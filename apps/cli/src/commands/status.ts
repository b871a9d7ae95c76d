import { Command } from 'commander';
import { examples } from '../examples';
import type { AgentStatus, WorkloadStatus } from '../local/agent';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';

export function statusCommand(session: Session, output: Output): Command {
  return new Command('status')
    .description("Show what of Alto runs on this machine, and the apps' instances")
    .addHelpText(
      'after',
      examples([
        ['alto status', 'see it'],
        ['alto status --json', 'the same for a program'],
      ]),
    )
    .action(async () => {
      const status = await session.agent.requireStatus();
      output.result(status, () => describeStatus(output, status));
      if (status.workloads.some(({ state }) => state !== 'ready')) output.exitCode = 1;
    });
}

export function describeStatus(output: Output, { phase, agent, workloads, instances, failure }: AgentStatus): string {
  const lines = [`Alto is ${phase}: agent ${agent.version}, process ${agent.pid}, since ${age(agent.startedAt)}.`];
  if (failure) lines.push(output.paint('red', failure));
  lines.push('', workloadTable(output, workloads));
  if (instances.length > 0) lines.push('', workloadTable(output, instances));
  return lines.join('\n');
}

export function workloadTable(output: Output, workloads: readonly WorkloadStatus[]): string {
  const rows = workloads.map((workload) => [
    workload.kind === 'instance' ? `${workload.name} (${workload.id.slice(-6)})` : workload.id,
    workload.state,
    workload.pid,
    Object.values(workload.ports).join(' '),
    workload.release?.version,
    workload.restarts,
    workload.startedAt ? age(workload.startedAt) : null,
    workload.state === 'ready' ? null : workload.reason,
  ]);
  return output.table(['WORKLOAD', 'STATE', 'PID', 'PORTS', 'VERSION', 'RESTARTS', 'SINCE', 'REASON'], rows);
}
