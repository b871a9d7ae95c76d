import { callerMay } from './caller';
import { permissions, roleCovers, roles, scopes, scopesGrant } from './permissions';

it('a scope is one permission, or all on one resource, and nothing else', () => {
  expect(scopes).toEqual(expect.arrayContaining(['apps.read', 'apps.write', 'apps.*', 'cluster.*']));
  expect(new Set(scopes).size).toBe(scopes.length);
  expect(scopesGrant(['apps.read'], 'apps.read')).toBe(true);
  expect(scopesGrant(['apps.read'], 'apps.write')).toBe(false);
  expect(scopesGrant(['apps.*'], 'apps.write')).toBe(true);
  expect(scopesGrant(['apps.*'], 'bundles.read')).toBe(false);
  expect(scopesGrant([], 'apps.read')).toBe(false);
  expect(scopesGrant([], 'authenticated')).toBe(true);
  expect(callerMay({ role: 'operator', scopes: ['internal'] }, 'internal')).toBe(false);
});

it('scopes narrow the role and never widen it', () => {
  for (const role of roles) {
    for (const permission of permissions) {
      const unscoped = callerMay({ role }, permission);
      expect(callerMay({ role, scopes: [permission] }, permission)).toBe(unscoped);
      expect(callerMay({ role, scopes: [] }, permission)).toBe(false);
    }
  }
});

it('a role covers a scope of which it has a part', () => {
  expect(roleCovers('viewer', 'apps.*')).toBe(true);
  expect(roleCovers('viewer', 'apps.write')).toBe(false);
  expect(roleCovers('admin', 'cluster.read')).toBe(false);
});
