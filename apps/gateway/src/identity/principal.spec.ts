import { allOperations, roles } from '@alto/contracts';
import { callerOf, ownProject, type Principal, requirePermission } from './principal';

const principal = (
  role: Principal['role'],
  project: Principal['project'] = { id: 'prj_1', name: 'one' },
): Principal => ({
  keyId: 'key_1',
  keyName: 'test',
  role,
  project,
});

describe('ownProject', () => {
  it('knows its own by name and id, and nothing else', () => {
    expect(ownProject(principal('admin'), 'one').id).toBe('prj_1');
    expect(ownProject(principal('admin'), 'prj_1').name).toBe('one');
    for (const other of ['two', 'prj_2', '', 'One']) {
      expect(() => ownProject(principal('admin'), other)).toThrow(expect.objectContaining({ code: 'not_found' }));
    }
  });
});

describe('requirePermission', () => {
  it('never lets anybody do what is between services, or what nobody knows', () => {
    for (const role of roles) {
      for (const permission of ['internal', 'apps.destroy', '']) {
        expect(() => requirePermission(principal(role), permission)).toThrow(
          expect.objectContaining({ code: 'forbidden' }),
        );
      }
    }
  });

  it('holds a key to its scopes, whatever its role', () => {
    const narrow = { ...principal('admin'), scopes: ['apps.read', 'bundles.*'] };
    for (const permission of ['apps.read', 'bundles.write', 'authenticated'])
      expect(() => requirePermission(narrow, permission)).not.toThrow();
    for (const permission of ['apps.write', 'keys.write', 'cluster.read'])
      expect(() => requirePermission(narrow, permission)).toThrow(expect.objectContaining({ code: 'forbidden' }));
    expect(() => requirePermission(narrow, 'apps.write')).toThrow('its scopes lack apps.write');
    expect(callerOf(narrow, narrow.project).scopes).toEqual(['apps.read', 'bundles.*']);
  });

  it('lets the operator do everything that users can', () => {
    for (const { http, permission } of allOperations) {
      if (http) expect(() => requirePermission(principal('operator', null), permission)).not.toThrow();
    }
  });
});

it('tells services of the project that was entered, not of the key', () => {
  expect(callerOf(principal('operator', null), { id: 'prj_1', name: 'one' })).toEqual({
    id: 'key_1',
    role: 'operator',
    project: 'prj_1',
    projectName: 'one',
  });
});

it('tells services what the project may have', () => {
  const quotas = { apps: 3 };
  expect(callerOf(principal('admin'), { id: 'prj_1', name: 'one', quotas }).quotas).toEqual(quotas);
  expect(callerOf(principal('admin'), { id: 'prj_1', name: 'one' })).not.toHaveProperty('quotas');
});
