/** Checks of gatehouse.yaml that concern more than one field. */
import { addRepeated, has, type AddProblem } from './choices/add-problem.ts'
import { checkAuthentication } from './choices/authentication.ts'
import { checkClientCertificates } from './choices/client-certificates.ts'
import { checkSignIn } from './choices/sign-in.ts'
import type { Source } from './document.ts'
import { valueAt, type Path } from './path.ts'
import type { ConfigProblem } from './problem.ts'
import { SINK_FIELDS, type SinkField } from './schema/audit.ts'
import { DEFAULTS } from './schema/defaults.ts'

/** Takes bare data, so that its problems are reported together with those of single fields. */
export function checkChoices(raw: unknown, source: Source): ConfigProblem[] {
  return collect(raw, source, [
    checkUpstream,
    checkAuthentication,
    checkClientCertificates,
    checkSignIn,
    checkAudit,
    checkPorts,
    checkState,
    checkGroups,
  ])
}

/** Settings that are valid but probably not intended. */
export function warnOfChoices(raw: unknown, source: Source): ConfigProblem[] {
  return collect(raw, source, [warnOfMasters, warnOfConcurrency])
}

function collect(
  raw: unknown,
  source: Source,
  checks: readonly ((raw: object, add: AddProblem) => void)[],
): ConfigProblem[] {
  if (typeof raw !== 'object' || raw === null) return []
  const problems: ConfigProblem[] = []
  for (const check of checks) {
    check(raw, (field, message, fix) => problems.push(source.problem(field, message, fix)))
  }
  return problems
}

function checkUpstream(raw: object, add: AddProblem): void {
  if (!has(raw, 'upstream')) return
  const inCluster = valueAt(raw, ['upstream', 'inCluster']) === true
  const kubeconfig = has(raw, 'upstream', 'kubeconfig')
  if (!inCluster && !kubeconfig) {
    add(['upstream'], 'does not name an API server', 'set kubeconfig, or inCluster: true')
  }
  if (inCluster && kubeconfig) {
    add(['upstream', 'inCluster'], 'conflicts with kubeconfig', 'keep one of the two')
  }
  if (inCluster && has(raw, 'upstream', 'context')) {
    add(['upstream', 'context'], 'has no effect with inCluster: true', 'remove it')
  }
  const mode = valueAt(raw, ['upstream', 'identity', 'mode'])
  if (has(raw, 'upstream', 'identity', 'requestheader') && mode !== 'requestheader') {
    add(
      ['upstream', 'identity', 'requestheader'],
      'conflicts with mode: impersonation',
      'set mode: requestheader, or remove it',
    )
  }
}

function checkAudit(raw: object, add: AddProblem): void {
  const audit = valueAt(raw, ['audit'])
  if (typeof audit !== 'object' || audit === null) return
  const isStrict = valueAt(audit, ['mode']) === 'blocking-strict'
  if (isStrict && valueAt(audit, ['onFailure']) === 'count') {
    add(
      ['audit', 'onFailure'],
      'conflicts with mode: blocking-strict, which forwards no change without its event',
      'set onFailure: refuse, or mode: blocking',
    )
  }
  const isEnabled = (sink: SinkField): boolean =>
    has(audit, sink) && valueAt(audit, [sink, 'enabled']) !== false
  if (SINK_FIELDS.some(isEnabled)) return
  add(['audit'], 'no audit sink is configured', `set one or more of ${SINK_FIELDS.join(', ')}`)
}

function checkState(raw: object, add: AddProblem): void {
  const isRedis = valueAt(raw, ['state', 'type']) === 'redis'
  const hasRedis = has(raw, 'state', 'redis')
  if (isRedis && !hasRedis) add(['state'], 'does not say where Redis is', 'set redis')
  if (!isRedis && hasRedis) {
    add(['state', 'redis'], 'has no effect with type: memory', 'set type: redis, or remove it')
  }
}

function checkGroups(raw: object, add: AddProblem): void {
  addRepeated(raw, ['limits', 'groups'], 'group', (field, group) =>
    add(field, `${group} has a budget above`, 'give each group one budget'),
  )
}

function checkPorts(raw: object, add: AddProblem): void {
  const listenerPort = valueAt(raw, ['listener', 'port']) ?? DEFAULTS.listenerPort
  const probesPort = valueAt(raw, ['probes', 'port']) ?? DEFAULTS.probesPort
  if (listenerPort !== 0 && listenerPort === probesPort) {
    add(['probes', 'port'], 'is also the port of the listener', 'choose another port')
  }
}

/** The API server authorizes members of system:masters before it asks RBAC. */
function warnOfMasters(raw: object, add: AddProblem): void {
  const field: Path = ['authentication', 'systemIdentities', 'groups']
  const groups = valueAt(raw, field)
  const position = Array.isArray(groups) ? groups.indexOf('system:masters') : -1
  if (position < 0) return
  add(
    [...field, position],
    'system:masters bypasses RBAC: its members may do everything',
    'remove it, and bind a group of your own to the ClusterRole cluster-admin',
  )
}

function warnOfConcurrency(raw: object, add: AddProblem): void {
  const field: Path = ['limits', 'concurrent', 'requests']
  const pool: Path = ['upstream', 'connections', 'maxConnections']
  const requests = valueAt(raw, field) ?? DEFAULTS.concurrentRequests
  const connections = valueAt(raw, pool) ?? DEFAULTS.maxConnections
  if (typeof requests !== 'number' || typeof connections !== 'number') return
  if (requests < connections) return
  add(
    valueAt(raw, field) === undefined ? pool : field,
    `one user may run ${requests} requests at the same time and hold all ${connections} connections to the API server`,
    'keep limits.concurrent.requests well below upstream.connections.maxConnections',
  )
}
