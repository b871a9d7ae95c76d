/** Requests that have effects: nobody may send them a second time, so one that is cut is lost, and only that one. */
import { request } from 'node:http';
import { computeOperations, type RequestOf } from '@alto/contracts';
import type { Alto } from '@alto/testing';

const app = { project: 'default', app: 'shop' };

export interface Orders {
  /** Numbers of those that got no right answer, once all have ended. */
  readonly failed: Promise<number[]>;
  /** Order → the instance that has begun it; those without an answer yet. */
  inFlight(): Promise<Map<number, string>>;
}

let placed = 0;

/** Places so many at once. */
export function placeOrders(alto: Alto, count: number): Orders {
  const numbers = Array.from({ length: count }, () => ++placed);
  const outcomes = numbers.map(async (number) => ({ number, status: await place(alto.appsUrl, number) }));
  return {
    failed: Promise.all(outcomes).then((all) => all.filter(({ status }) => status !== 200).map(({ number }) => number)),
    inFlight: () => ordersInFlight(alto, new Set(numbers)),
  };
}

/** @returns the status; 0 where there was no answer */
function place(appsUrl: string, number: number): Promise<number> {
  return new Promise((resolve) => {
    const order = request(
      `${appsUrl}/orders/${number}`,
      { method: 'POST', agent: false, headers: { host: 'shop.default.localhost', 'content-length': 0 } },
      (response) => {
        response.resume();
        response.on('close', () => resolve(response.complete ? (response.statusCode ?? 0) : 0));
      },
    );
    order.on('error', () => resolve(0));
    order.end();
  });
}

/** As the instances have said. */
async function ordersInFlight(alto: Alto, numbers: ReadonlySet<number>): Promise<Map<number, string>> {
  const request: RequestOf<typeof computeOperations.logs.read> = { ...app, lines: 1_000 };
  const { lines } = await alto.client.call(computeOperations.logs.read, request);
  const open = new Map<number, string>();
  for (const { text, instance } of lines) {
    const [word, number] = text.split(' ');
    if (!numbers.has(Number(number))) continue;
    if (word === 'began') open.set(Number(number), instance);
    else open.delete(Number(number));
  }
  return open;
}
