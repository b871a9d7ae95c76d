import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@alto/platform';
import { AuditController } from './audit/audit.controller';
import { AuditReconciler } from './audit/audit.reconciler';
import { Audit } from './audit/audit.service';
import { AuditStore } from './audit/audit.store';
import { AuditLog } from './audit/audit-log.service';
import { gatewayConfig } from './config';
import { ServicesController } from './directory/services.controller';
import { EventStreams } from './events/event-streams';
import { FrontDoor } from './front/front-door';
import { JsonCalls } from './http/json-calls';
import { PublicApi } from './http/public-api';
import { RequestLog } from './http/request-log';
import { ServiceStreams } from './http/service-streams';
import { IdempotencyService } from './idempotency/idempotency.service';
import { IdempotencySweeper } from './idempotency/idempotency-sweeper';
import { IdempotentRequestEntity } from './idempotency/idempotent-request.entity';
import { IdempotentRequestsStore } from './idempotency/idempotent-requests.store';
import { Access } from './identity/access';
import { Authenticator } from './identity/authenticator';
import { FirstIdentity } from './identity/first-identity';
import { IdentityController } from './identity/identity.controller';
import { KeyUses } from './identity/key-uses';
import { KeyEntity } from './keys/key.entity';
import { KeysController } from './keys/keys.controller';
import { KeysService } from './keys/keys.service';
import { KeysStore } from './keys/keys.store';
import { RevocationsReconciler } from './keys/revocations.reconciler';
import { SubscriberAccount } from './keys/subscriber-account';
import { SubscriberCredentials } from './keys/subscriber-credentials';
import { BucketsReconciler } from './limits/buckets.reconciler';
import { BucketsStore } from './limits/buckets.store';
import { RateLimits } from './limits/rate-limits.service';
import { Identity1763700000001 } from './migrations/1763700000001-identity';
import { KeyLifetimes1763800000001 } from './migrations/1763800000001-key-lifetimes';
import { IdempotentRequests1763900000001 } from './migrations/1763900000001-idempotent-requests';
import { RateLimits1764000000001 } from './migrations/1764000000001-rate-limits';
import { Quotas1764000000002 } from './migrations/1764000000002-quotas';
import { Audit1764000000003 } from './migrations/1764000000003-audit';
import { NatsKeys1764100000001 } from './migrations/1764100000001-nats-keys';
import { RevokedSubscribers1764200000001 } from './migrations/1764200000001-revoked-subscribers';
import { OpenApiController } from './openapi/openapi.controller';
import { ReferenceController } from './openapi/reference.controller';
import { ProjectEntity } from './projects/project.entity';
import { ProjectsController } from './projects/projects.controller';
import { ProjectsService } from './projects/projects.service';
import { ProjectsStore } from './projects/projects.store';
import { QuotaEntity } from './quotas/quota.entity';
import { QuotasController } from './quotas/quotas.controller';
import { QuotasService } from './quotas/quotas.service';
import { QuotasStore } from './quotas/quotas.store';
import { Routes } from './routing/routes.service';

@Module({
  controllers: [
    IdentityController,
    ProjectsController,
    KeysController,
    QuotasController,
    AuditController,
    ServicesController,
    OpenApiController,
    ReferenceController,
  ],
  providers: [
    ProjectsStore,
    ProjectsService,
    KeysStore,
    KeysService,
    SubscriberCredentials,
    SubscriberAccount,
    RevocationsReconciler,
    QuotasStore,
    QuotasService,
    KeyUses,
    Authenticator,
    Access,
    FirstIdentity,
    BucketsStore,
    BucketsReconciler,
    RateLimits,
    AuditStore,
    Audit,
    AuditLog,
    AuditReconciler,
    FrontDoor,
    Routes,
    IdempotentRequestsStore,
    IdempotencyService,
    IdempotencySweeper,
    JsonCalls,
    ServiceStreams,
    EventStreams,
    RequestLog,
    PublicApi,
  ],
})
export class GatewayModule {}

export const gatewayService: ServiceDefinition = {
  name: 'gateway',
  module: GatewayModule,
  config: gatewayConfig,
  database: {
    entities: [ProjectEntity, KeyEntity, IdempotentRequestEntity, QuotaEntity],
    migrations: [
      Identity1763700000001,
      KeyLifetimes1763800000001,
      IdempotentRequests1763900000001,
      RateLimits1764000000001,
      Quotas1764000000002,
      Audit1764000000003,
      NatsKeys1764100000001,
      RevokedSubscribers1764200000001,
    ],
  },
  fronted: true,
};
