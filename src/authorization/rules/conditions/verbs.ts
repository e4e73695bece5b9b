import { isConnect } from '../../../request/long-running.ts'
import type { ConditionCompiler } from './condition.ts'

/**
 * `connect` covers every way into a process or a network: exec, attach, portforward and proxy,
 * whatever the HTTP method. An allow rule grants these by `connect` or `*` only, since an exec over
 * WebSocket is a GET (kubernetes/kubernetes#78741); a deny rule also denies them by the verb of the
 * method.
 */
export const compileVerbs: ConditionCompiler<'verbs'> = ({ verbs, effect }) => {
  if (verbs.includes('*')) return undefined
  const connects = verbs.includes('connect')
  return ({ info }) => {
    if (!isConnect(info)) return verbs.includes(info.verb)
    return connects || (effect === 'deny' && verbs.includes(info.verb))
  }
}
