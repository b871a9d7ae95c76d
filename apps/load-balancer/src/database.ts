/** Everything of the load balancer's own database. */
import { LoadBalancer0001Routes } from './migrations/0001-routes';
import { LoadBalancer0002RouteDetails } from './migrations/0002-route-details';
import { RouteCounterEntity } from './routes/route-counter.entity';
import { RouteEntity } from './routes/route.entity';

export const loadBalancerDatabase = {
  entities: [RouteCounterEntity, RouteEntity],
  migrations: [LoadBalancer0001Routes, LoadBalancer0002RouteDetails],
};
