/** Paths of objects: `/api/v1[/namespaces/NS]/RESOURCE[/NAME[/SUBRESOURCE[/TAIL]]]`. */
import { kindOf, type Kind } from './kinds.ts'
import { unknownPath } from './status.ts'

export interface Route {
  readonly kind: Kind
  /** `''` for all namespaces, and for kinds that are not namespaced. */
  readonly namespace: string
  /** `''` for the collection. */
  readonly name: string
  readonly subresource: string
}

/** The route of a path; undefined outside `/api/v1/`. Throws a Refusal (NotFound) if it is unknown. */
export function routeOf(path: string): Route | undefined {
  if (!path.startsWith('/api/v1/')) return undefined
  const parts = path.replace(/\/+$/, '').split('/').slice(3).map(decode)
  // `namespaces/NS` is a resource; with another segment, it is the namespace of a resource.
  const inside = parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status'
  return inside ? found(parts[1] ?? '', parts.slice(2)) : found('', parts)
}

function found(namespace: string, parts: readonly string[]): Route {
  const [resource = '', name = '', subresource = ''] = parts
  const kind = kindOf(resource)
  if (kind === undefined) throw unknownPath()
  // Across all namespaces, only the collection exists.
  const isValid = kind.namespaced ? namespace !== '' || name === '' : namespace === ''
  if (!isValid) throw unknownPath()
  return { kind, namespace, name, subresource }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw unknownPath()
  }
}
