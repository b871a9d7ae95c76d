import { Controller, Module } from '@nestjs/common';
import { type OutputOf, searchOperations } from '@alto/contracts';
import {
  eventually,
  newTestProject,
  callerOf,
  tokenOf,
  type NatsServer,
  startNats,
  startTestService,
  type TestService,
} from '@alto/testing';
import { Handles } from '../messaging';
import { defineConfig } from './config';
import { Health } from './health';

@Controller()
class HitsController {
  @Handles(searchOperations.hits.list)
  async list(): Promise<OutputOf<typeof searchOperations.hits.list>> {
    return { items: [] };
  }
}

let warm = false;

@Module({ controllers: [HitsController] })
class WarmingModule {
  constructor(health: Health) {
    health.register('warmth', () => (warm ? undefined : 'still cold'));
  }
}

describe('a new instance', () => {
  let nats: NatsServer;
  let service: TestService;

  beforeAll(async () => {
    nats = await startNats();
    service = await startTestService(
      { name: 'search', module: WarmingModule, config: defineConfig({}) },
      { natsUrl: nats.url },
    );
  });

  afterAll(async () => {
    await service.stop();
    await nats.stop();
  });

  it('takes requests once it is ready, and not before: an older one beside it could have answered them', async () => {
    const project = newTestProject();
    const ask = () =>
      service.client.call(
        searchOperations.hits.list,
        { project: project.id, index: 'notes', q: 'x' },
        { patienceMs: 0, callerToken: tokenOf(callerOf(project)) },
      );
    await eventually(() =>
      expect(ask()).rejects.toMatchObject({ code: 'service_unavailable', message: expect.stringContaining('search') }),
    );
    warm = true;
    await eventually(() => expect(ask()).resolves.toEqual({ items: [] }));
  });
});
