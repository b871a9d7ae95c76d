import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { type ServiceName, serviceNames } from '@alto/contracts';
import { CONFIG, contractText, Lifecycle, Log, type ServiceContract, ServiceDirectory } from '@alto/platform';
import { z } from 'zod';
import type { GatewayConfig } from '../config';
import { type LearnedOperation, learnedOperationSchema } from './learned-operation';
import { type Contract, learn, type RouteTable, settleRoutes } from './route-table';
import { type Match, Router } from './router';

const fileSchema = z.object({
  format: z.literal(1),
  services: z.partialRecord(z.enum(serviceNames), z.array(learnedOperationSchema)),
});

/** A route as the router holds it. */
export interface OperationRoute {
  method: string;
  path: string;
  operation: LearnedOperation;
}

/**
 * The routes learned from the services' announcements. They are kept in `routes.json` in the state folder: a gateway
 * that starts while a service is down knows its routes and answers 503 for them.
 */
@Injectable()
export class Routes implements OnModuleInit {
  private table: RouteTable = new Map();
  private router = new Router<OperationRoute>([]);
  private writing: Promise<void> = Promise.resolve();
  private written = '';
  private readonly file: string;
  /** Grows with each change of the routes. */
  generation = 0;

  constructor(
    @Inject(CONFIG) config: GatewayConfig,
    private readonly directory: ServiceDirectory,
    private readonly log: Log,
    lifecycle: Lifecycle,
  ) {
    lifecycle.onDrain(() => this.writing);
    this.file = join(config.ALTO_STATE_DIR, 'routes.json');
  }

  async onModuleInit(): Promise<void> {
    this.adopt(await this.load());
    this.directory.onChange(() => this.refresh());
    this.refresh();
  }

  match(method: string, path: string): Match<OperationRoute> {
    return this.router.match(method, path);
  }

  /** In the order in which the services are declared, then by name. */
  get operations(): readonly LearnedOperation[] {
    return this.router.routes.map(({ operation }) => operation);
  }

  isKnown(service: ServiceName): boolean {
    return this.table.has(service);
  }

  private refresh(): void {
    const table = learn(this.table, this.liveContracts());
    if (serialise(table) === serialise(this.table)) return;
    this.adopt(table);
    this.writing = this.writing.then(() => this.save(serialise(table)));
  }

  private adopt(table: RouteTable): void {
    const { routes, refused } = settleRoutes(table, this.operations);
    this.table = table;
    this.router = new Router(routes.map((operation) => ({ ...operation.http, operation })));
    this.generation++;
    for (const { operation, owner } of refused) {
      this.log.warn('A service announces a route that is not its own', { operation: operation.name, owner });
    }
    this.log.info('Routes changed', { routes: routes.length, generation: this.generation });
  }

  /** Its own operations this gateway knows by itself: it serves them, whatever newer gateways announce. */
  private liveContracts(): Contract[] {
    const others = this.directory.instances().filter(({ service }) => service !== 'gateway');
    const own = { service: 'gateway', version: '', operations: contractOf('gateway').operations } as const;
    return [own, ...others].map(({ service, version, operations }) => ({
      service,
      version,
      operations: operations.flatMap((operation) => this.readOperation(service, operation)),
    }));
  }

  /** An operation that cannot be read, or is not the service's own, is left out alone: the others stay reachable. */
  private readOperation(service: ServiceName, announced: { http?: unknown }): LearnedOperation[] {
    if (announced.http === undefined) return [];
    const parsed = learnedOperationSchema.safeParse(announced);
    if (parsed.success && parsed.data.service === service) return [parsed.data];
    this.log.warn('A service announces an operation that cannot be routed', {
      announcedBy: service,
      problem: parsed.error ? z.prettifyError(parsed.error) : 'it belongs to another service',
    });
    return [];
  }

  private async load(): Promise<RouteTable> {
    try {
      const { services } = fileSchema.parse(JSON.parse(await readFile(this.file, 'utf8')));
      return new Map(Object.entries(services) as [ServiceName, LearnedOperation[]][]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.log.warn('The routes kept on disk cannot be read; they are learned again', { file: this.file, error });
      }
      return new Map();
    }
  }

  private async save(text: string): Promise<void> {
    if (text === this.written) return;
    try {
      await mkdir(join(this.file, '..'), { recursive: true });
      await writeFile(`${this.file}.new`, text, { mode: 0o600, flush: true });
      await rename(`${this.file}.new`, this.file);
      this.written = text;
    } catch (error) {
      this.log.error('The routes could not be kept on disk', { file: this.file, error });
    }
  }
}

function contractOf(service: ServiceName): ServiceContract {
  return JSON.parse(contractText(service)) as ServiceContract;
}

function serialise(table: RouteTable): string {
  return `${JSON.stringify({ format: 1, services: Object.fromEntries(table) }, undefined, 1)}\n`;
}
