/** Paths of objects: `PREFIX[/namespaces/NS]/RESOURCE[/NAME[/SUBRESOURCE[/TAIL]]]`. */
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

/** The group of the paths with each prefix. */
const groups = new Map([
  ['/api/v1/', ''],
  ['/apis/apps/v1/', 'apps'],
])

/** The route of a path; undefined outside of the groups that store objects. Throws a Refusal (NotFound) if it is unknown. */
export function routeOf(path: string): Route | undefined {
  const [prefix, group] = [...groups].find(([start]) => path.startsWith(start)) ?? []
  if (prefix === undefined || group === undefined) return undefined
  const parts = path.slice(prefix.length).replace(/\/+$/, '').split('/').map(decode)
  // `namespaces/NS` is a resource; with another segment, it is the namespace of a resource.
  const inside = parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status'
  return inside ? found(group, parts[1] ?? '', parts.slice(2)) : found(group, '', parts)
}

function found(group: string, namespace: string, parts: readonly string[]): Route {
  const [resource = '', name = '', subresource = ''] = parts
  const kind = kindOf(group, resource)
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
