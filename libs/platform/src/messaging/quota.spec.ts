import type { Caller } from '@alto/contracts';
import type { CallIdentity } from './call-context';
import { hasQuota, requireQuota } from './quota';

const caller = (quotas?: Caller['quotas']): CallIdentity => ({
  kind: 'key',
  id: 'key_1',
  role: 'developer',
  project: 'prj_1',
  projectName: 'shop',
  ...(quotas !== undefined && { quotas }),
});

it('lets a change reach the limit and not pass it', () => {
  expect(() => requireQuota(caller({ apps: 3 }), { apps: { before: 2, after: 3 } })).not.toThrow();
  expect(() => requireQuota(caller({ apps: 3 }), { apps: { before: 3, after: 4 } })).toThrow(
    expect.objectContaining({ code: 'quota_exceeded', details: { quota: 'apps', limit: 3, used: 3, wanted: 4 } }),
  );
  expect(() => requireQuota(caller({ apps: 0 }), { apps: { before: 0, after: 1 } })).toThrow('may have 0 apps');
});

it('lets a project that has too much take less, but not more of it', () => {
  expect(() => requireQuota(caller({ messages: 3 }), { messages: { before: 9, after: 8 } })).not.toThrow();
  expect(() => requireQuota(caller({ messages: 3 }), { messages: { before: 9, after: 9 } })).not.toThrow();
  expect(() => requireQuota(caller({ messages: 3 }), { messages: { before: 9, after: 10 } })).toThrow();
});

it('limits nothing that has no limit, nor what services do among themselves', () => {
  const change = { apps: { before: 0, after: 1_000 } };
  expect(() => requireQuota(caller(), change)).not.toThrow();
  expect(() => requireQuota(caller({ messages: 1 }), change)).not.toThrow();
  const service = { kind: 'service', id: 'compute', role: undefined, project: null, projectName: null } as const;
  expect(() => requireQuota(service, change)).not.toThrow();
  expect([hasQuota(caller(), ['apps']), hasQuota(caller({ apps: 1 }), ['messages'])]).toEqual([false, false]);
  expect(hasQuota(caller({ apps: 0 }), ['messages', 'apps'])).toBe(true);
});
