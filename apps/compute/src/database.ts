/** Everything of compute's own database. */
import { AppEntity } from './apps/app.entity';
import { EndpointCounterEntity } from './endpoints/endpoint-counter.entity';
import { EndpointSetEntity } from './endpoints/endpoint-set.entity';
import { ProxyEntity } from './endpoints/proxy.entity';
import { EndedInstanceEntity } from './instances/ended-instance.entity';
import { InstanceEntity } from './instances/instance.entity';
import { Compute0001 } from './migrations/0001-compute';
import { Rollouts0002 } from './migrations/0002-rollouts';
import { Secrets0003 } from './migrations/0003-secrets';
import { RolloutTraffic0004 } from './migrations/0004-rollout-traffic';
import { MachineKeys0006 } from './migrations/0006-machine-keys';
import { FormerNodes0007 } from './migrations/0007-former-nodes';
import { EndedInstances0008 } from './migrations/0008-ended-instances';
import { ClockSkips0009 } from './migrations/0009-clock-skips';
import { Ports0010 } from './migrations/0010-ports';
import { ProjectLocks0005 } from './migrations/0005-project-locks';
import { FormerNodeEntity } from './nodes/former-node.entity';
import { NodeEntity } from './nodes/node.entity';
import { ProjectLockEntity } from './quotas/project-lock.entity';
import { ClockSkipEntity } from './reconciler/clock-skip.entity';
import { RolloutEntity } from './rollouts/rollout.entity';
import { TrafficEntity } from './rollouts/traffic.entity';
import { RevisionEntity } from './revisions/revision.entity';
import { SecretValueEntity } from './secrets/secret-value.entity';
import { SecretEntity } from './secrets/secret.entity';

export const computeDatabase = {
  entities: [
    AppEntity,
    ClockSkipEntity,
    EndedInstanceEntity,
    EndpointCounterEntity,
    EndpointSetEntity,
    FormerNodeEntity,
    InstanceEntity,
    NodeEntity,
    ProjectLockEntity,
    ProxyEntity,
    RevisionEntity,
    RolloutEntity,
    SecretEntity,
    SecretValueEntity,
    TrafficEntity,
  ],
  migrations: [
    Compute0001,
    Rollouts0002,
    Secrets0003,
    RolloutTraffic0004,
    ProjectLocks0005,
    MachineKeys0006,
    FormerNodes0007,
    EndedInstances0008,
    ClockSkips0009,
    Ports0010,
  ],
};
