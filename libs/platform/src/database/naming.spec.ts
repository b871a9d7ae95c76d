import { SnakeCaseNaming, toSnakeCase } from './naming';

describe('naming', () => {
  it.each([
    ['createdAt', 'created_at'],
    ['stopTimeoutMs', 'stop_timeout_ms'],
    ['HTTPRoute', 'http_route'],
    ['sha256', 'sha256'],
  ])('turns %s into %s', (name, expected) => expect(toSnakeCase(name)).toBe(expected));

  it('drops the role from a class name and keeps given names', () => {
    const naming = new SnakeCaseNaming();
    expect(naming.tableName('AppRevisionEntity', undefined)).toBe('app_revision');
    expect(naming.tableName('AppEntity', 'apps')).toBe('apps');
    expect(naming.columnName('desiredReplicas', undefined, [])).toBe('desired_replicas');
    expect(naming.columnName('cpuMillis', undefined, ['podLimits'])).toBe('pod_limits_cpu_millis');
  });
});
