import { operation, type Operation } from '@alto/contracts';
import { z } from 'zod';
import type { LearnedOperation } from '../routing/learned-operation';
import { isWorthWriting, readOf, resourceOf } from './audit-entry';

const learned = (method: string, path: string, service: Operation['service'] = 'compute'): LearnedOperation => {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, z.string()] as const);
  const made = operation({
    service,
    noun: 'apps',
    verb: method.toLowerCase(),
    version: 1,
    summary: 'x',
    http: { method: method as 'GET', path },
    permission: 'apps.read',
    callers: ['gateway'],
    input: z.object(Object.fromEntries(names)),
    output: z.object({}),
    errors: [],
    idempotent: true,
  });
  return made as unknown as LearnedOperation;
};

const app = '/v1/projects/{project}/apps/{app}';
const [show, list] = [learned('GET', app), learned('GET', '/v1/projects/{project}/apps')];

it('finds what shows the resource that is changed, and nothing for what is yet to be made', () => {
  const all = [learned('GET', app, 'search'), show, list];
  for (const changing of [learned('PUT', app), learned('DELETE', app), learned('POST', `${app}/restart`)])
    expect(readOf(changing, all)).toBe(show);
  for (const changing of [
    learned('POST', '/v1/projects/{project}/apps'),
    learned('POST', '/v1/projects/{project}/topics/{topic}/messages'),
    learned('PUT', '/v1/projects/{project}/routes/{route}'),
  ])
    expect(readOf(changing, all)).toBeUndefined();
});

it('names what a request is about as its path does, without the project', () => {
  expect(resourceOf(show, { project: 'prj_1', app: 'web' })).toBe('apps/web');
  expect(resourceOf(list, { project: 'prj_1' })).toBe('apps');
  expect(resourceOf(learned('PUT', '/v1/nodes/{node}'), { node: 'a\0b' })).toBe('nodes/a\uFFFDb');
  expect(resourceOf(show, { project: 'p', app: '🦊'.repeat(500) }).length).toBeLessThanOrEqual(300);
});

it('writes refused changes, and of reads those that the key is not good for', () => {
  const put = learned('PUT', app);
  expect([400, 401, 403, 404, 409, 412, 422, 429].every((status) => isWorthWriting(put, status))).toBe(true);
  expect([401, 403].every((status) => isWorthWriting(show, status))).toBe(true);
  expect([400, 404, 429, 500].some((status) => isWorthWriting(show, status))).toBe(false);
  expect(isWorthWriting(put, 503)).toBe(false);
});
