import type { KnownRoute } from './known';

/** Where the routes of the whole cluster come from. */
export abstract class RouteSource {
  /** Grows with every change of any route. */
  abstract generation(): Promise<number>;
  abstract everything(): Promise<KnownRoute[]>;
}
