/** Paths of objects: `/api/v1[/namespaces/NS]/RESOURCE[/NAME[/SUBRESOURCE[/TAIL]]]`. */
import { kindOf, type Kind } from './kinds.ts'
import { unknownPath } from './status.ts'

export interface Route {
  readonly kind: Kind
  /** `''` for all, and for kinds without. */
  readonly namespace: string
  /** `''` for the collection. */
  readonly name: string
  readonly subresource: string
}

/** Undefined for paths outside of `/api/v1/`. Throws a Refusal (NotFound) for what is not there. */
export function routeOf(path: string): Route | undefined {
  if (!path.startsWith('/api/v1/')) return undefined
  const parts = path.replace(/\/+$/, '').split('/').slice(3).map(decode)
  // A namespace by itself is a resource; with one more segment it is where the resource is.
  const inside = parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status'
  return inside ? found(parts[1] ?? '', parts.slice(2)) : found('', parts)
}

function found(namespace: string, parts: readonly string[]): Route {
  const [resource = '', name = '', subresource = ''] = parts
  const kind = kindOf(resource)
  if (kind === undefined) throw unknownPath()
  // All namespaces at once can be listed, and nothing else.
  const isRight = kind.namespaced ? namespace !== '' || name === '' : namespace === ''
  if (!isRight) throw unknownPath()
  return { kind, namespace, name, subresource }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw unknownPath()
  }
}
