import { isConnect } from '../../../request/long-running.ts'
import type { RequestInfo } from '../../../request/types.ts'
import type { ConditionCompiler } from './condition.ts'

/** Verbs of a deny rule that deny exec, attach, portforward and proxy, whatever the HTTP method. */
export const DENIES_CONNECT: ReadonlySet<string> = new Set(['get', 'create', 'connect', '*'])

/** Verbs that requests have for paths of no resource: the HTTP methods that Gatehouse accepts. */
export const PATH_VERBS: ReadonlySet<string> = new Set(
  'get head post put patch delete options'.split(' '),
)

/** The RBAC verb under which a deny rule matches a method, too, for a path of no resource. */
const SAME_METHOD: Readonly<Record<string, string>> = { head: 'get', post: 'create', put: 'update' }

/**
 * `connect` covers every way into a process or a network: exec, attach, portforward and proxy,
 * whatever the HTTP method. An allow rule grants these by `connect` or `*` only, since an exec over
 * WebSocket is a GET (kubernetes/kubernetes#78741).
 *
 * A deny rule covers the most dangerous meaning of its verbs. `get` and `create` deny these requests
 * too, whatever the method, since the same exec is a GET over WebSocket and a POST over SPDY; any
 * other verb denies those of its method. On a path of no resource, `get` includes HEAD, and a rule
 * that names no HTTP method denies all.
 */
export const compileVerbs: ConditionCompiler<'verbs'> = ({ verbs, effect }) => {
  if (verbs === undefined || verbs.includes('*')) return undefined
  const connects =
    effect === 'deny' ? verbs.some((verb) => DENIES_CONNECT.has(verb)) : verbs.includes('connect')
  if (effect === 'allow') {
    return ({ info }) => (isConnect(info) ? connects : verbs.includes(info.verb))
  }
  const deniesPath = compilePathDenial(verbs)
  return ({ info }) => {
    if (!info.isResourceRequest) return deniesPath(info)
    return verbs.includes(info.verb) || (connects && isConnect(info))
  }
}

function compilePathDenial(verbs: readonly string[]): (info: RequestInfo) => boolean {
  if (!verbs.some((verb) => PATH_VERBS.has(verb))) return () => true
  return ({ verb }) => verbs.includes(verb) || verbs.includes(SAME_METHOD[verb] ?? verb)
}
