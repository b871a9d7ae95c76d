/** Who may do what. Each operation names exactly one permission; a role is a set of permissions. */

const viewer = [
  'projects.read',
  'apps.read',
  'bundles.read',
  'routes.read',
  'secrets.read',
  'topics.read',
  'indexes.read',
  'events.read',
] as const;

const developer = [
  ...viewer,
  'apps.write',
  'bundles.write',
  'routes.write',
  'secrets.write',
  'topics.write',
  'indexes.write',
] as const;

const admin = [...developer, 'projects.write', 'keys.read', 'keys.write'] as const;

const operator = [...admin, 'cluster.read', 'cluster.write'] as const;

export const rolePermissions = { viewer, developer, admin, operator } as const;

/** viewer, developer and admin hold within one project; operator holds for the whole cluster. */
export type Role = keyof typeof rolePermissions;
export const roles = Object.keys(rolePermissions) as [Role, ...Role[]];
export const projectRoles = ['viewer', 'developer', 'admin'] as const satisfies readonly Role[];

export type Permission = (typeof operator)[number];

/** What an operation asks for: a permission, any valid key (`authenticated`), or that the caller is part of Alto (`internal`). */
export type RequiredPermission = Permission | 'authenticated' | 'internal';

export function roleGrants(role: Role, permission: RequiredPermission): boolean {
  if (permission === 'authenticated') return true;
  if (permission === 'internal') return false;
  return (rolePermissions[role] as readonly Permission[]).includes(permission);
}
