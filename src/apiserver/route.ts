/**
 * From a URL's path to what it means. Resource paths:
 *
 *     /api/v1/PLURAL[/NAME[/SUB]]                       /apis/GROUP/VERSION/PLURAL[/NAME[/SUB]]
 *     /api/v1/namespaces/NS/PLURAL[/NAME[/SUB]]         /apis/GROUP/VERSION/namespaces/NS/PLURAL[/NAME[/SUB]]
 */
export type Route =
  | { readonly type: 'health' }
  | { readonly type: 'version' }
  | { readonly type: 'root' }
  | { readonly type: 'coreVersions' }
  | { readonly type: 'groupList' }
  | { readonly type: 'group'; readonly group: string }
  | { readonly type: 'resourceList'; readonly group: string; readonly version: string }
  | { readonly type: 'openApiV2' }
  | { readonly type: 'openApiV3Index' }
  | { readonly type: 'openApiV3'; readonly group: string; readonly version: string }
  | ResourceRoute
  | { readonly type: 'unknown' };

export interface ResourceRoute {
  readonly type: 'resource';
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string;
  readonly subresource: string;
}

/** Subresources of a namespace itself; any other third part is a collection inside it. */
const NAMESPACE_SUBRESOURCES: ReadonlySet<string> = new Set(['status', 'finalize']);

const unknown: Route = { type: 'unknown' };

export function parseRoute(pathname: string): Route {
  const parts = pathname
    .split('/')
    .filter((part) => part !== '')
    .map(decodePart);
  const [first, second, third] = parts;
  switch (first) {
    case undefined:
      return { type: 'root' };
    case 'healthz':
    case 'livez':
    case 'readyz':
      return { type: 'health' };
    case 'version':
      return parts.length === 1 ? { type: 'version' } : unknown;
    case 'openapi':
      return openApiRoute(parts.slice(1));
    case 'api':
      if (second === undefined) return { type: 'coreVersions' };
      return second === 'v1' ? resourceRoute('', 'v1', parts.slice(2)) : unknown;
    case 'apis':
      if (second === undefined) return { type: 'groupList' };
      return third === undefined ? { type: 'group', group: second } : resourceRoute(second, third, parts.slice(3));
    default:
      return unknown;
  }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not percent-encoding: no name has a '%', so look-ups fail with 404
  }
}

function openApiRoute(parts: readonly string[]): Route {
  const [version, root, first, second] = parts;
  if (version === 'v2') return { type: 'openApiV2' };
  if (version !== 'v3') return unknown;
  if (root === undefined) return { type: 'openApiV3Index' };
  if (root === 'api' && first !== undefined) return { type: 'openApiV3', group: '', version: first };
  return root === 'apis' && first !== undefined && second !== undefined
    ? { type: 'openApiV3', group: first, version: second }
    : unknown;
}

function resourceRoute(group: string, version: string, parts: readonly string[]): Route {
  const [first, second, third] = parts;
  if (first === undefined) return { type: 'resourceList', group, version };
  const isNamespaceItself = group === '' && parts.length === 3 && NAMESPACE_SUBRESOURCES.has(third ?? '');
  const isInNamespace = first === 'namespaces' && third !== undefined && !isNamespaceItself;
  const [plural = '', name = '', subresource = '', ...rest] = isInNamespace ? parts.slice(2) : parts;
  return rest.length > 0
    ? unknown
    : { type: 'resource', group, version, namespace: isInNamespace ? second : undefined, plural, name, subresource };
}
