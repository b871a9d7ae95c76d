import { Module } from '@nestjs/common';
import { HaproxyEngines } from './haproxy/haproxy-engines';
import { ProxyEngines } from './proxy/proxy.engine';
import { RoutesController } from './routes/routes.controller';
import { RoutesService } from './routes/routes.service';
import { RoutesStore } from './routes/routes.store';
import { RouteSource } from './traffic/route-source';
import { TrafficMetrics } from './traffic/traffic-metrics';
import { TrafficWatch } from './traffic/traffic-watch';
import { TrafficReconciler } from './traffic/traffic.reconciler';

@Module({
  controllers: [RoutesController],
  providers: [
    RoutesService,
    RoutesStore,
    TrafficMetrics,
    TrafficReconciler,
    TrafficWatch,
    { provide: ProxyEngines, useClass: HaproxyEngines },
    { provide: RouteSource, useExisting: RoutesStore },
  ],
})
export class LoadBalancerModule {}
