import { type DynamicModule, Module } from '@nestjs/common';
import { InstanceLogs } from './logs/instance-logs';
import { LogsController } from './logs/logs.controller';

/** What the agent answers on the bus. Everything else of it lives without one: see agent.ts. */
@Module({})
export class NodeAgentModule {
  static over(logs: InstanceLogs): DynamicModule {
    return {
      module: NodeAgentModule,
      controllers: [LogsController],
      providers: [{ provide: InstanceLogs, useValue: logs }],
    };
  }
}
