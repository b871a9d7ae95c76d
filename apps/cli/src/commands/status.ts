import { Command } from 'commander';
import { examples } from '../examples';
import { type AgentStatus, appInstances, isWell, ownWorkloads, type WorkloadStatus } from '../local/agent';
import { byAgent } from '../local/by-agent';
import type { Output } from '../output';
import type { Session } from '../session';
import { age } from '../table';

const composeStep = '`docker compose ps` shows its containers, `alto services` its services.';

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
      const status = await byAgent(session, composeStep, () => session.agent.requireStatus());
      output.result(status, () => describeStatus(output, status));
      if (!ownWorkloads(status).every(isWell)) output.exitCode = 1;
    });
}

export function describeStatus(output: Output, status: AgentStatus): string {
  const { phase, version, pid, startedAt } = status;
  const instances = appInstances(status);
  const own = ownWorkloads(status).filter(({ want, pid: process }) => want === 'running' || process !== null);
  const tables = [own, instances].filter(({ length }) => length > 0);
  return [
    `Alto is ${phase}: agent ${version}, process ${pid}, since ${age(startedAt)}.`,
    ...tables.flatMap((rows) => ['', workloadTable(output, rows)]),
  ].join('\n');
}

function workloadTable(output: Output, workloads: readonly WorkloadStatus[]): string {
  const rows = workloads.map((workload) => [
    workload.kind === 'instance' ? `${workload.name} …${workload.id.slice(-6)}` : workload.id,
    workload.phase,
    workload.pid,
    Object.values(workload.ports).join(' '),
    workload.release?.version,
    workload.restarts,
    workload.startedAtMs === null ? null : age(new Date(workload.startedAtMs).toISOString()),
    isWell(workload) ? null : workload.reason,
  ]);
  return output.table(['WORKLOAD', 'STATE', 'PID', 'PORTS', 'VERSION', 'RESTARTS', 'SINCE', 'REASON'], rows);
}
