/** What an agent is told to run, made from rows. */
import type { DesiredInstance } from '@alto/contracts';
import type { InstanceEntity } from '../instances/instance.entity';
import { wantsStopped } from '../instances/instance.state';
import type { RevisionEntity } from '../revisions/revision.entity';

/** @returns the instruction, or null for an instance whose revision does not exist, which the agent then ends */
export function instructionOf(
  instance: InstanceEntity,
  revision: RevisionEntity | undefined,
  appName: string,
  secretEnv: DesiredInstance['secretEnv'],
): DesiredInstance | null {
  if (revision === undefined) return null;
  const { command, env, ports, readiness, liveness, restart, resources, stop } = revision.template;
  return {
    id: instance.id,
    project: instance.project,
    app: instance.app,
    appName,
    revision: revision.number,
    want: wantsStopped(instance.state) ? 'stopped' : 'running',
    bundle: revision.bundle,
    command,
    env,
    ...(secretEnv !== undefined && { secretEnv }),
    ports,
    readiness,
    liveness,
    restart,
    resources,
    stop,
  };
}
