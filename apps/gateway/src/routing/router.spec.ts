import { parametersOf, Router } from './router';

const route = (method: string, path: string) => ({ method, path });

describe('Router', () => {
  const router = new Router([
    route('GET', '/v1/projects'),
    route('GET', '/v1/projects/{project}'),
    route('GET', '/v1/projects/{project}/apps/{app}'),
    route('PUT', '/v1/projects/{project}/apps/{name}'),
    route('GET', '/v1/projects/{project}/apps/search'),
  ]);

  const found = (method: string, path: string) => {
    const match = router.match(method, path);
    return match.found === 'route' ? [match.route.path, match.parameters] : match;
  };

  it('finds literals and parameters', () => {
    expect(found('GET', '/v1/projects')).toEqual(['/v1/projects', {}]);
    expect(found('GET', '/v1/projects/a')).toEqual(['/v1/projects/{project}', { project: 'a' }]);
    expect(found('GET', '/v1/projects/a/apps/b')).toEqual([
      '/v1/projects/{project}/apps/{app}',
      { project: 'a', app: 'b' },
    ]);
  });

  it('names parameters as the route that was found does, not as its neighbour', () => {
    expect(found('PUT', '/v1/projects/a/apps/b')).toEqual([
      '/v1/projects/{project}/apps/{name}',
      { project: 'a', name: 'b' },
    ]);
  });

  it('prefers a literal, and falls back when the literal has not the method', () => {
    expect(found('GET', '/v1/projects/a/apps/search')).toEqual([
      '/v1/projects/{project}/apps/search',
      { project: 'a' },
    ]);
    expect(found('PUT', '/v1/projects/a/apps/search')).toEqual([
      '/v1/projects/{project}/apps/{name}',
      { project: 'a', name: 'search' },
    ]);
  });

  it('decodes after splitting, so an encoded slash cannot change the route', () => {
    expect(found('GET', '/v1/projects/a%2Fapps%2Fb')).toEqual(['/v1/projects/{project}', { project: 'a/apps/b' }]);
  });

  it('tells a wrong method from an unknown path', () => {
    expect(found('DELETE', '/v1/projects/a/apps/b')).toEqual({ found: 'other-methods', allowed: ['GET', 'PUT'] });
    expect(found('GET', '/v1/nothing')).toEqual({ found: 'nothing' });
    expect(found('GET', '/v1/projects/')).toEqual({ found: 'nothing' });
    expect(found('GET', '/v1/projects/a/')).toEqual({ found: 'nothing' });
  });

  it('refuses a path that is not valid UTF-8', () => {
    expect(() => router.match('GET', '/v1/projects/%ff')).toThrow(URIError);
  });

  it('is not confused by the names of object members', () => {
    expect(found('GET', '/v1/projects/__proto__')).toEqual(['/v1/projects/{project}', { project: '__proto__' }]);
    expect(found('constructor', '/v1/projects')).toEqual({ found: 'other-methods', allowed: ['GET'] });
  });
});

describe('parametersOf', () => {
  it('refuses what the router cannot serve', () => {
    expect(parametersOf('/v1/a/{b}/c/{d}')).toEqual(['b', 'd']);
    expect(() => parametersOf('/v1/a/{b}.json')).toThrow(RangeError);
    expect(() => parametersOf('/v1/{2x}')).toThrow(RangeError);
  });
});
