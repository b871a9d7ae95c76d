/** One database and one role for each service: none can read what another keeps. */
import { Client } from 'pg';

export interface DatabaseGrant {
  service: string;
  /** Name of both the database and the role that owns it. */
  name: string;
  password: string;
}

/** Database names carry no hyphens, so that nobody has to quote them. */
export function databaseName(service: string): string {
  return service.replaceAll('-', '_');
}

/** Everything to make, as statements that an administrator could also type. */
export function databaseStatements({ name, password }: DatabaseGrant): {
  role: string;
  database: string;
  walls: string[];
} {
  return {
    role: `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`,
    database: `CREATE DATABASE ${name} OWNER ${name}`,
    walls: [`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`],
  };
}

/** Makes what is missing and sets the password where the role is there already. */
export async function ensureDatabases(client: Client, grants: readonly DatabaseGrant[]): Promise<void> {
  try {
    for (const grant of grants) await ensureDatabase(client, grant);
  } catch (error) {
    if ((error as { code?: string }).code !== insufficientPrivilege) throw error;
    throw new Error(notPermitted(client.user, grants), { cause: error });
  }
}

/** Makes databases on a server of the user's own. What an administrator has made already is left as it is. */
export async function ensureExternalDatabases(adminUrl: string, grants: readonly DatabaseGrant[]): Promise<void> {
  if (!URL.canParse(adminUrl)) throw new Error('ALTO_DATABASE_URL must be postgresql://user:password@host:port/name.');
  const missing: DatabaseGrant[] = [];
  for (const grant of grants) {
    if (!(await canConnect(serviceUrl(adminUrl, grant)))) missing.push(grant);
  }
  if (missing.length === 0) return;
  const client = new Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
  } catch (error) {
    const { host, pathname } = new URL(adminUrl);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`PostgreSQL at ${host}${pathname} (ALTO_DATABASE_URL) cannot be reached: ${reason}`, {
      cause: error,
    });
  }
  try {
    await ensureDatabases(client, missing);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function canConnect(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

const insufficientPrivilege = '42501';

async function ensureDatabase(client: Client, grant: DatabaseGrant): Promise<void> {
  const { name, password } = grant;
  const statements = databaseStatements(grant);
  const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
  await client.query(role.rowCount === 0 ? statements.role : `ALTER ROLE ${name} LOGIN PASSWORD '${password}'`);
  const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
  if (database.rowCount === 0) {
    // From PostgreSQL 16 on, only a member of a role may give it a database.
    await client.query(`GRANT ${name} TO CURRENT_USER`).catch(() => undefined);
    await client.query(statements.database);
  }
  for (const wall of statements.walls) await client.query(wall);
}

function notPermitted(user: string | undefined, grants: readonly DatabaseGrant[]): string {
  const sql = grants.flatMap((grant) => {
    const { role, database, walls } = databaseStatements(grant);
    return [role, database, ...walls].map((statement) => `  ${statement};`);
  });
  return [
    `The PostgreSQL user ${user ?? ''} may not create databases. Have an administrator run this, then start again:`,
    '',
    ...sql,
    '',
    'Or name databases of your own, one setting each: ALTO_GATEWAY_DATABASE_URL, ALTO_COMPUTE_DATABASE_URL and so on.',
  ].join('\n');
}

/** Where a service finds its database on a server of the user's own. */
export function serviceUrl(adminUrl: string, { name, password }: DatabaseGrant): string {
  const url = new URL(adminUrl);
  url.username = name;
  url.password = password;
  url.pathname = `/${name}`;
  return url.href;
}

/** On the embedded server: by its unix socket. */
export function socketUrl(socketDirectory: string, { name, password }: DatabaseGrant): string {
  return `postgresql://${name}:${password}@/${name}?host=${encodeURIComponent(socketDirectory)}`;
}
