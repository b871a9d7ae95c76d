import { Agent, get, request } from 'node:http';
import { Controller, Get, Module } from '@nestjs/common';
import { eventually, type NatsServer, startNats, startTestService, type TestService } from '@alto/testing';
import { defineConfig } from './config';

let release: (() => void) | undefined;

@Controller()
class SlowController {
  @Get('/slow')
  async slow(): Promise<{ done: boolean }> {
    await new Promise<void>((resolve) => (release = resolve));
    return { done: true };
  }

  @Get('/quick')
  quick(): { done: boolean } {
    return { done: true };
  }

  @Get('/broken')
  broken(): never {
    throw new Error('the password is hunter2');
  }
}

@Module({ controllers: [SlowController] })
class SlowModule {}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly connection: string | undefined;
}

function fetchWith(agent: Agent | undefined, url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, connection: response.headers.connection }),
      );
    });
    call.on('error', reject).end();
  });
}

describe('the HTTP host', () => {
  let nats: NatsServer;
  let service: TestService;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  beforeAll(async () => {
    nats = await startNats();
  });

  beforeEach(async () => {
    service = await startTestService(
      { name: 'search', module: SlowModule, config: defineConfig({}), fronted: true },
      { natsUrl: nats.url, settings: { ALTO_LAME_DUCK_MS: '2000' } },
    );
    await eventually(async () => expect((await fetchWith(undefined, `${service.url}/readyz`)).status).toBe(200));
  });

  afterEach(async () => {
    release?.();
    await service.stop();
  });

  afterAll(async () => {
    agent.destroy();
    await nats.stop();
  });

  it('stops as a lame duck: not ready, still answering, then finishing what was accepted', async () => {
    const slow = fetchWith(undefined, `${service.url}/slow`);
    await eventually(() => expect(release).toBeDefined());
    const order: string[] = [];
    const stopped = service.stop().then(() => order.push('stopped'));

    const duringDrain = await fetchWith(agent, `${service.url}/readyz`);
    expect(duringDrain).toMatchObject({ status: 503, connection: 'close' });
    expect(await fetchWith(agent, `${service.url}/quick`)).toMatchObject({ status: 200 });
    await eventually(async () => expect(await connects(service.url)).toBe(false));
    expect(order).toEqual([]);

    release?.();
    expect(await slow.then((answer) => (order.push('answered'), answer))).toMatchObject({ status: 200 });
    await stopped;
    expect(order).toEqual(['answered', 'stopped']);
  });

  it('answers what nobody foresaw with a problem that gives nothing away', async () => {
    const { status, body } = await fetchWith(undefined, `${service.url}/broken`);
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({ code: 'internal', nextStep: expect.any(String) });
    expect(body).not.toContain('hunter2');
  });

  it('answers for an unknown path and offers metrics', async () => {
    expect(JSON.parse((await fetchWith(undefined, `${service.url}/nowhere`)).body)).toMatchObject({
      code: 'not_found',
    });
    expect((await fetchWith(undefined, `${service.url}/metrics`)).body).toContain('process_cpu_seconds_total');
    const outside = await fetch(`${service.url}/metrics`, { headers: { 'x-forwarded-for': '192.0.2.7' } });
    expect([outside.status, await outside.json()]).toEqual([404, expect.objectContaining({ code: 'not_found' })]);
  });
});

function connects(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(`${url}/quick`, (response) => resolve(response.resume() !== undefined)).on('error', () => resolve(false));
  });
}
