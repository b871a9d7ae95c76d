/**
 * Finds the route of a request: a trie of path segments, built once for each change of the learned routes and only
 * read afterwards. A literal segment wins over a parameter.
 */

/** What the router needs of a route; anything else travels along untouched. */
export interface Routable {
  method: string;
  /** `/v1/projects/{project}/apps/{app}`; segments are wholly literal or wholly one parameter. */
  path: string;
}

export type Match<R extends Routable> =
  | { found: 'route'; route: R; parameters: Record<string, string> }
  | { found: 'other-methods'; allowed: string[] }
  | { found: 'nothing' };

interface Endpoint<R> {
  route: R;
  names: string[];
}

interface Node<R> {
  literals: Map<string, Node<R>>;
  parameter?: Node<R>;
  endpoints: Map<string, Endpoint<R>>;
}

const PARAMETER = /^\{([A-Za-z]+)\}$/;

/** The names of a template's parameters, in order. Throws RangeError for a template the router cannot serve. */
export function parametersOf(path: string): string[] {
  return segmentsOf(path).flatMap((segment) => {
    const name = PARAMETER.exec(segment)?.[1];
    if (name === undefined && /[{}]/.test(segment)) throw new RangeError(`not a path template: ${path}`);
    return name === undefined ? [] : [name];
  });
}

export class Router<R extends Routable> {
  private readonly root: Node<R> = emptyNode();

  /** The first of two routes with the same method and shape is kept, so callers sort by what should win. */
  constructor(readonly routes: readonly R[]) {
    for (const route of routes) this.add(route);
  }

  /**
   * `path` is the raw request path, without query. Parameters are percent-decoded here, once, after splitting, so an
   * encoded slash stays inside its parameter. Throws URIError for a path that is not valid percent-encoded UTF-8.
   */
  match(method: string, path: string): Match<R> {
    const segments = segmentsOf(path).map(decodeURIComponent);
    const values: string[] = [];
    const node = find(this.root, segments, 0, values, (candidate) => candidate.endpoints.has(method));
    const endpoint = node?.endpoints.get(method);
    if (endpoint) {
      const parameters = Object.fromEntries(endpoint.names.map((name, index) => [name, values[index] ?? '']));
      return { found: 'route', route: endpoint.route, parameters };
    }
    const other = find(this.root, segments, 0, [], (candidate) => candidate.endpoints.size > 0);
    return other ? { found: 'other-methods', allowed: [...other.endpoints.keys()].sort() } : { found: 'nothing' };
  }

  private add(route: R): void {
    let node = this.root;
    for (const segment of segmentsOf(route.path)) {
      const parameter = PARAMETER.exec(segment);
      if (!parameter) node = getOrAdd(node.literals, segment);
      else node = node.parameter ??= emptyNode();
    }
    if (!node.endpoints.has(route.method)) {
      node.endpoints.set(route.method, { route, names: parametersOf(route.path) });
    }
  }
}

/** Depth first; `values` holds the parameters of the branch being tried and is cut back when the branch fails. */
function find<R>(
  node: Node<R>,
  segments: string[],
  index: number,
  values: string[],
  accept: (node: Node<R>) => boolean,
): Node<R> | undefined {
  const segment = segments[index];
  if (segment === undefined) return accept(node) ? node : undefined;
  const literal = node.literals.get(segment);
  const byLiteral = literal && find(literal, segments, index + 1, values, accept);
  if (byLiteral) return byLiteral;
  if (segment === '' || !node.parameter) return undefined;
  values.push(segment);
  const byParameter = find(node.parameter, segments, index + 1, values, accept);
  if (!byParameter) values.pop();
  return byParameter;
}

function segmentsOf(path: string): string[] {
  return path.split('/').slice(1);
}

function emptyNode<R>(): Node<R> {
  return { literals: new Map(), endpoints: new Map() };
}

function getOrAdd<R>(nodes: Map<string, Node<R>>, key: string): Node<R> {
  let node = nodes.get(key);
  if (!node) nodes.set(key, (node = emptyNode()));
  return node;
}
