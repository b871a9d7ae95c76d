import { Module } from '@nestjs/common';
import { AppsController } from './apps/apps.controller';
import { AppsService } from './apps/apps.service';
import { AppsStore } from './apps/apps.store';
import { PreviewsService } from './apps/previews.service';
import { SecretVersions } from './apps/secret-versions';
import { EndpointsService } from './endpoints/endpoints.service';
import { EndpointsStore } from './endpoints/endpoints.store';
import { ProxiesController } from './endpoints/proxies.controller';
import { ProxiesStore } from './endpoints/proxies.store';
import { EndedInstancesStore } from './instances/ended-instances.store';
import { InstancesController } from './instances/instances.controller';
import { InstancesService } from './instances/instances.service';
import { InstancesStore } from './instances/instances.store';
import { LogsController } from './logs/logs.controller';
import { LogsService } from './logs/logs.service';
import { NodesController } from './nodes/nodes.controller';
import { NodesService } from './nodes/nodes.service';
import { NodesStore } from './nodes/nodes.store';
import { Nudges } from './nudges';
import { QuotasService } from './quotas/quotas.service';
import { QuotasStore } from './quotas/quotas.store';
import { UsageController } from './quotas/usage.controller';
import { ClockSkipsStore } from './reconciler/clock-skips.store';
import { Cluster, ClusterPort } from './reconciler/cluster';
import { Reconciler } from './reconciler/reconciler';
import { RevisionsController } from './revisions/revisions.controller';
import { RevisionsService } from './revisions/revisions.service';
import { RevisionsStore } from './revisions/revisions.store';
import { RolloutsController } from './rollouts/rollouts.controller';
import { RolloutsService } from './rollouts/rollouts.service';
import { RolloutsStore } from './rollouts/rollouts.store';
import { TrafficService } from './rollouts/traffic.service';
import { TrafficStore } from './rollouts/traffic.store';
import { MasterKeysController } from './secrets/master-keys.controller';
import { MasterKeysService } from './secrets/master-keys.service';
import { SecretKeys } from './secrets/secret-keys';
import { SecretValues } from './secrets/secret-values';
import { SecretsController } from './secrets/secrets.controller';
import { SecretsService } from './secrets/secrets.service';
import { SecretsStore } from './secrets/secrets.store';

@Module({
  controllers: [
    AppsController,
    InstancesController,
    LogsController,
    MasterKeysController,
    NodesController,
    ProxiesController,
    RevisionsController,
    RolloutsController,
    SecretsController,
    UsageController,
  ],
  providers: [
    AppsService,
    AppsStore,
    ClockSkipsStore,
    EndedInstancesStore,
    EndpointsService,
    EndpointsStore,
    InstancesService,
    InstancesStore,
    LogsService,
    MasterKeysService,
    NodesService,
    NodesStore,
    Nudges,
    PreviewsService,
    ProxiesStore,
    QuotasService,
    QuotasStore,
    Reconciler,
    RevisionsService,
    RevisionsStore,
    RolloutsService,
    RolloutsStore,
    SecretKeys,
    SecretValues,
    SecretsService,
    SecretsStore,
    TrafficService,
    TrafficStore,
    { provide: ClusterPort, useClass: Cluster },
    { provide: SecretVersions, useExisting: SecretValues },
  ],
})
export class ComputeModule {}
