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

const admin = [...developer, 'projects.write', 'keys.read', 'keys.write', 'audit.read'] as const;

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

export const permissions: readonly Permission[] = operator;

/** What a key can be narrowed to: single permissions, and `<resource>.*` for all on one resource. */
export const scopes = [
  ...permissions,
  ...new Set(permissions.map((permission) => `${resourceOf(permission)}.*` as const)),
];
export type Scope = (typeof scopes)[number];

/** `authenticated` is not narrowed: any valid key may ask who it is. */
export function scopesGrant(granted: readonly string[], permission: RequiredPermission): boolean {
  if (permission === 'authenticated') return true;
  return granted.includes(permission) || granted.includes(`${resourceOf(permission)}.*`);
}

/** All that a key of this role and these scopes may do. */
export function grantedTo(role: Role, narrowedTo: readonly string[] | undefined): Permission[] {
  return rolePermissions[role].filter((permission) => narrowedTo === undefined || scopesGrant(narrowedTo, permission));
}

/** Whether the role has any of what the scope opens: a key narrowed to what its role lacks could do nothing. */
export function roleCovers(role: Role, scope: string): boolean {
  return rolePermissions[role].some((permission) => scopesGrant([scope], permission));
}

function resourceOf(permission: string): string {
  return permission.slice(0, permission.indexOf('.'));
}
