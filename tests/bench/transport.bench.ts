/**
 * Alto's transport against raw NATS request/reply and Nest's stock NATS transport, in one run: client and server are
 * processes of their own, NATS is a third. Alto's requests carry all that a user's do (token, trace, budget, validated
 * input and output); the raw ones are bytes that nobody looks at, sent by the client library at its fastest.
 * Goals: at least 0.6 of raw, and ahead of stock.
 */
import 'reflect-metadata';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { newId, operation } from '@alto/contracts';
import {
  type CallerKeys,
  callerSigner,
  controllerOf,
  newCallerKeys,
  startClient,
  startNats,
  startTransport,
} from '@alto/testing';
import { connect } from '@nats-io/transport-node';
import { firstValueFrom } from 'rxjs';
import { z } from 'zod';

const variants = ['raw', 'alto', 'stock'] as const;
type Variant = (typeof variants)[number];

const inFlight = 64;
const warmUpRequests = 6_000;
const measuredMs = 3_000;
const rounds = 3;
const goalOfRaw = 0.6;

const echo = operation({
  service: 'compute',
  noun: 'apps',
  verb: 'echo',
  version: 1,
  summary: 'Answers what it was given',
  http: { method: 'POST', path: '/v1/projects/{project}/echo' },
  permission: 'apps.write',
  callers: ['gateway'],
  input: z.strictObject({ project: z.string().max(40), name: z.string().max(40), text: z.string().max(500) }),
  output: z.object({ name: z.string(), text: z.string() }),
  errors: [],
  idempotent: true,
});

const request = { project: newId('project'), name: 'hello', text: 'x'.repeat(100) };
const subject = 'bench.echo';

interface Measured {
  readonly requests: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const servers: Record<Variant, (url: string, keys: CallerKeys) => Promise<unknown>> = {
  raw: async (url) => {
    const connection = await connect({ servers: url });
    connection.subscribe(subject, {
      queue: 'bench',
      callback: (_error, message) => void message.respond(message.data),
    });
    await connection.flush();
  },
  alto: async (url, { publicKeys: callerPublicKeys }) => {
    const controller = controllerOf(echo, ({ name, text }) => ({ name, text }));
    await startTransport({ url, service: 'compute', controllers: [controller], callerPublicKeys });
  },
  stock: async (url) => {
    @Controller()
    class EchoController {
      @MessagePattern(subject)
      echo({ name, text }: typeof request) {
        return { name, text };
      }
    }
    @Module({ controllers: [EchoController] })
    class EchoModule {}
    const options = { transport: Transport.NATS as const, options: { servers: [url], queue: 'bench' } };
    const app = await NestFactory.createMicroservice(EchoModule, { ...options, logger: false });
    await app.listen();
  },
};

const clients: Record<Variant, (url: string, keys: CallerKeys) => Promise<() => Promise<unknown>>> = {
  raw: async (url) => {
    const connection = await connect({ servers: url, noAsyncTraces: true });
    const payload = JSON.stringify(request);
    return () => connection.request(subject, payload, { timeout: 5_000 });
  },
  alto: async (url, keys) => {
    const { client } = await startClient(url);
    const signer = callerSigner(keys);
    const caller = { id: newId('key'), role: 'developer', project: request.project, projectName: 'shop' } as const;
    return () => client.call(echo, request, { callerToken: signer.sign(caller) });
  },
  stock: async (url) => {
    const client = ClientProxyFactory.create({ transport: Transport.NATS, options: { servers: [url] } });
    await client.connect();
    return () => firstValueFrom(client.send(subject, request));
  },
};

async function measure(call: () => Promise<unknown>): Promise<Measured> {
  let left = warmUpRequests;
  await concurrently(async () => {
    while (left-- > 0) await call();
  });
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const until = startedAt + measuredMs;
  await concurrently(async () => {
    for (let at = performance.now(); at < until;) {
      await call();
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  });
  const seconds = (performance.now() - startedAt) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { requests: latencies.length, seconds, cpuSeconds: cpuSince(cpuBefore), p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function concurrently(work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: inFlight }, work));
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** A child says `ready`, and at a message does its part and sends the result. It ends with its parent. */
async function runChild(role: string, variant: Variant, url: string, keys: CallerKeys): Promise<void> {
  process.on('disconnect', () => process.exit());
  if (role === 'server') {
    await servers[variant](url, keys);
    let before = process.cpuUsage();
    process.on('message', (what) => {
      if (what === 'begin') before = process.cpuUsage();
      else process.send?.(cpuSince(before));
    });
  } else {
    const call = await clients[variant](url, keys);
    process.on('message', () => void measure(call).then((measured) => process.send?.(measured)));
  }
  process.send?.('ready');
}

async function startChild(...args: string[]): Promise<ChildProcess> {
  const child = fork(fileURLToPath(import.meta.url), args);
  await once(child, 'message');
  return child;
}

async function ask<T>(child: ChildProcess, what: string): Promise<T> {
  const answer = once(child, 'message');
  child.send(what);
  return (await answer)[0] as T;
}

async function runVariant(variant: Variant, url: string, keys: string): Promise<Result> {
  const server = await startChild('server', variant, url, keys);
  const client = await startChild('client', variant, url, keys);
  server.send('begin');
  const measured = await ask<Measured>(client, 'measure');
  const serverCpuSeconds = await ask<number>(server, 'end');
  await Promise.all([server, client].map(end));
  const perSecond = measured.requests / measured.seconds;
  // The server's share includes the warm-up, so it is divided by all requests that it served.
  const serverCpuMicros = (serverCpuSeconds / (measured.requests + warmUpRequests)) * 1e6;
  const clientCpuMicros = (measured.cpuSeconds / measured.requests) * 1e6;
  return { perSecond, serverCpuMicros, clientCpuMicros, p50Ms: measured.p50Ms, p99Ms: measured.p99Ms };
}

interface Result {
  readonly perSecond: number;
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** The middle one of the rounds: a machine that is busy with something else for a moment decides nothing. */
function median(results: Result[], by: (result: Result) => number): number {
  const values = results.map(by).sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] ?? 0;
}

function report(results: Record<Variant, Result[]>): void {
  const perSecond = (variant: Variant) => median(results[variant], (one) => one.perSecond);
  for (const variant of variants) {
    const of = (by: (result: Result) => number) => median(results[variant], by);
    console.log(
      `${variant.padEnd(6)} ${Math.round(perSecond(variant)).toString().padStart(6)} requests/s   ` +
        `CPU per request: client ${of((one) => one.clientCpuMicros).toFixed(0)} µs, server ${of((one) => one.serverCpuMicros).toFixed(0)} µs   ` +
        `p50 ${of((one) => one.p50Ms).toFixed(1)} ms, p99 ${of((one) => one.p99Ms).toFixed(1)} ms`,
    );
  }
  const ofRaw = perSecond('alto') / perSecond('raw');
  const ofStock = perSecond('alto') / perSecond('stock');
  const reached = ofRaw >= goalOfRaw && ofStock > 1;
  console.log(
    `alto is ${ofRaw.toFixed(2)} of raw (goal ${goalOfRaw}) and ${ofStock.toFixed(2)} of stock (goal > 1): ${reached ? 'reached' : 'MISSED'}`,
  );
  if (!reached) process.exitCode = 1;
}

async function runAll(): Promise<void> {
  const nats = await startNats();
  try {
    const keys = JSON.stringify(newCallerKeys());
    const results: Record<Variant, Result[]> = { raw: [], alto: [], stock: [] };
    for (let round = 0; round < rounds; round++) {
      for (const variant of variants) results[variant].push(await runVariant(variant, nats.url, keys));
    }
    report(results);
  } finally {
    await nats.stop();
  }
}

const [role, variant, url, keys] = process.argv.slice(2);
if (role === undefined) await runAll();
else await runChild(role, variant as Variant, url ?? '', JSON.parse(keys ?? '{}') as CallerKeys);
