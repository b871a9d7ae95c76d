import { AltoError, type Operation, operation, type Role } from '@alto/contracts';
import { z } from 'zod';
import { checkProject } from './authorization';
import type { CallIdentity } from './call-context';

const inProject = operation({
  service: 'compute',
  noun: 'apps',
  verb: 'get',
  version: 1,
  summary: 'For tests',
  http: { method: 'GET', path: '/v1/projects/{project}/apps' },
  permission: 'apps.read',
  callers: ['gateway'],
  input: z.object({ project: z.string() }),
  output: z.object({}),
  errors: [],
  idempotent: true,
});
const ofCluster = operation({ ...inProject, http: { method: 'GET', path: '/v1/nodes' } });

const key = (role: Role, project: string | null): CallIdentity => ({
  kind: 'key',
  id: 'k',
  role,
  project,
  projectName: null,
});

function enters(op: Operation, caller: CallIdentity, project: string): boolean {
  try {
    checkProject(op, caller, { project });
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(AltoError);
    expect((error as AltoError).code).toBe('not_found');
    return false;
  }
}

it.each<[string, CallIdentity, boolean]>([
  ['its own project', key('viewer', 'a'), true],
  ["another's project", key('admin', 'b'), false],
  ['a project as operator of the cluster', key('operator', null), true],
  ['another project as operator for one request', key('operator', 'b'), false],
  ['a project without one and without being operator', key('admin', null), false],
])('a caller enters %s: %#', (_what, caller, expected) => {
  expect(enters(inProject, caller, 'a')).toBe(expected);
  expect(enters(ofCluster, caller, 'a')).toBe(true);
});
