/** Checks of gatehouse.yaml that concern more than one field. */
import { isIP } from 'node:net'

import { checkCertificates } from './certificate-choices.ts'
import type { Source } from './document.ts'
import { valueAt, type Path } from './path.ts'
import type { ConfigProblem } from './problem.ts'
import { SINK_FIELDS, type SinkField } from './schema/audit.ts'
import { SIGN_IN_FIELDS } from './schema/authentication.ts'
import { GROUP_SOURCE_FIELDS } from './schema/group-source.ts'
import { DEFAULTS } from './schema/defaults.ts'

type AddProblem = (field: Path, message: string, fix: string) => void

/** Takes bare data, so that its problems are reported together with those of single fields. */
export function checkChoices(raw: unknown, source: Source): ConfigProblem[] {
  return collect(raw, source, [
    ...[
      checkUpstream,
      checkAuthentication,
      checkCertificates,
      checkSignIn,
      checkPages,
      checkAudit,
      checkPorts,
      checkState,
      checkGroups,
    ],
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

function has(raw: object, ...field: Path): boolean {
  return valueAt(raw, field) !== undefined
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

function checkAuthentication(raw: object, add: AddProblem): void {
  const authentication = valueAt(raw, ['authentication'])
  if (typeof authentication !== 'object' || authentication === null) return
  checkIssuers(authentication, add)
  checkIssuedCertificates(authentication, add)
  if (SIGN_IN_FIELDS.some((field) => has(authentication, field))) return
  const message = 'no authentication method is configured'
  add(['authentication'], message, `set one or more of ${SIGN_IN_FIELDS.join(', ')}`)
}

/** Options that are for no issuer, or whose entry another one hides, would silently do nothing. */
function checkIssuers(authentication: object, add: AddProblem): void {
  const issuers = valueAt(authentication, ['issuers'])
  if (!Array.isArray(issuers) || issuers.length === 0) return
  if (!has(authentication, 'configFile')) {
    add(['authentication', 'issuers'], 'has no effect without configFile', 'remove it')
  }
  const urls = issuers.map((_, i) => valueAt(issuers, [i, 'url']))
  urls.forEach((url, i) => {
    if (typeof url !== 'string' || urls.indexOf(url) === i) return
    const message = `${JSON.stringify(url)} is listed twice`
    add(['authentication', 'issuers', i, 'url'], message, 'write one entry for each issuer')
  })
  issuers.forEach((_, i) => {
    if (!has(issuers, i, 'groupSource')) return
    const kinds = GROUP_SOURCE_FIELDS.filter((kind) => has(issuers, i, 'groupSource', kind))
    if (kinds.length === 1) return
    const message = kinds.length === 0 ? 'names no source' : `has ${kinds.join(' and ')}`
    const fix = `set one of ${GROUP_SOURCE_FIELDS.join(', ')}`
    add(['authentication', 'issuers', i, 'groupSource'], message, fix)
  })
  issuers.forEach((_, i) => {
    if (!has(issuers, i, 'jwksFile')) return
    for (const field of ['certificateAuthorityFile', 'proxy', 'cachedKeyLifetime']) {
      if (!has(issuers, i, field)) continue
      const message = 'has no effect with jwksFile: nothing is fetched from the issuer'
      add(['authentication', 'issuers', i, field], message, 'remove it, or jwksFile')
    }
  })
}

function checkIssuedCertificates(authentication: object, add: AddProblem): void {
  const issued = valueAt(authentication, ['issuedCertificates'])
  if (typeof issued !== 'object' || issued === null) return
  const path: Path = ['authentication', 'issuedCertificates']
  const [hasFile, hasCommand] = [has(issued, 'privateKeyFile'), has(issued, 'signCommand')]
  if (!hasFile && !hasCommand) {
    add(path, 'does not say how certificates are signed', 'set privateKeyFile, or signCommand')
  }
  if (hasFile && hasCommand) {
    add([...path, 'signCommand'], 'conflicts with privateKeyFile', 'keep one of the two')
  }
  const count = (field: string): number => {
    const list = valueAt(issued, [field])
    return Array.isArray(list) ? list.length : 0
  }
  if (count('issuers') > 0 && !has(authentication, 'configFile')) {
    const fix = 'set authentication.configFile, or remove it'
    add([...path, 'issuers'], 'has no effect without authentication.configFile', fix)
  }
  if (count('issuers') + count('directories') === 0) {
    const fix = 'set issuers, or directories'
    add(path, 'does not say for which sign-ins certificates are issued', fix)
  }
  checkDirectories(issued, path, add)
}

function checkDirectories(issued: object, path: Path, add: AddProblem): void {
  const directories = valueAt(issued, ['directories'])
  if (!Array.isArray(directories)) return
  const names = directories.map((_, i) => valueAt(directories, [i, 'name']))
  directories.forEach((directory: unknown, i) => {
    const at = (...field: Path): Path => [...path, 'directories', i, ...field]
    const startTLS = valueAt(directory, ['startTLS']) === true
    const servers = valueAt(directory, ['servers'])
    const scheme = startTLS ? 'ldap://' : 'ldaps://'
    for (const [j, server] of (Array.isArray(servers) ? servers : []).entries()) {
      if (typeof server !== 'string' || server.startsWith(scheme)) continue
      const fix = startTLS
        ? 'write ldap://, or startTLS: false'
        : 'write ldaps://, or startTLS: true'
      add(at('servers', j), `does not begin with ${scheme}`, fix)
    }
    if (typeof names[i] === 'string' && names.indexOf(names[i]) !== i) {
      const message = `${JSON.stringify(names[i])} is listed twice`
      add(at('name'), message, 'give each directory a name of its own')
    }
  })
}

/** Without an issuer there is nobody whom a method could ask; two methods of one name hide each other. */
function checkSignIn(raw: object, add: AddProblem): void {
  const methods = valueAt(raw, ['signIn', 'methods'])
  if (!Array.isArray(methods) || methods.length === 0) return
  if (!has(raw, 'authentication', 'configFile')) {
    const message = 'has no effect without authentication.configFile'
    add(['signIn', 'methods'], message, 'set authentication.configFile, or remove the methods')
  }
  const names = methods.map((_, i) => valueAt(methods, [i, 'name']))
  names.forEach((name, i) => {
    if (typeof name !== 'string' || names.indexOf(name) === i) return
    const message = `${JSON.stringify(name)} is listed twice`
    add(['signIn', 'methods', i, 'name'], message, 'give each method a name of its own')
  })
}

function checkPages(raw: object, add: AddProblem): void {
  const field: Path = ['signIn', 'pages']
  const pages = valueAt(raw, field)
  if (typeof pages !== 'object' || pages === null) return
  if (!has(raw, 'authentication', 'configFile')) {
    const message = 'has no effect without authentication.configFile'
    add(field, message, 'set authentication.configFile, or remove the pages')
  }
  const [secret, key] = [has(pages, 'clientSecretFile'), has(pages, 'privateKeyFile')]
  if (secret === key) {
    const message = key
      ? 'has two credentials for the issuer: clientSecretFile and privateKeyFile'
      : 'has no credential for the issuer'
    add(field, message, 'set one of clientSecretFile, privateKeyFile')
  }
  if (has(pages, 'privateKeyID') && !key) {
    add([...field, 'privateKeyID'], 'has no effect without privateKeyFile', 'remove it')
  }
  if (has(raw, 'authentication', 'x509')) checkPagesName(pages, add)
}

/** A browser that is asked for a client certificate asks its user, before it shows anything. */
function checkPagesName(pages: object, add: AddProblem): void {
  const at = (name: string): Path => ['signIn', 'pages', name]
  const [host, apiHost] = ['url', 'apiURL'].map((name) => {
    const url = valueAt(pages, [name])
    return typeof url === 'string' ? URL.parse(url)?.hostname : undefined
  })
  if (host === undefined) return
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) {
    add(
      at('url'),
      `${JSON.stringify(host)} is an address, and with authentication.x509 browsers would be asked for a client certificate`,
      'give the pages a DNS name of their own',
    )
  } else if (apiHost === undefined || apiHost === host) {
    add(
      at(apiHost === undefined ? 'apiURL' : 'url'),
      apiHost === undefined
        ? 'is required with authentication.x509: no certificate is requested for the name of the pages'
        : 'has the host of apiURL, and with authentication.x509 browsers would be asked for a client certificate',
      'give the pages a DNS name of their own, and name the other one in apiURL',
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
  const groups = valueAt(raw, ['limits', 'groups'])
  if (!Array.isArray(groups)) return
  const names = groups.map((_, i) => valueAt(raw, ['limits', 'groups', i, 'group']))
  names.forEach((name, i) => {
    if (name === undefined || names.indexOf(name) === i) return
    const message = `${JSON.stringify(name)} has a budget above`
    add(['limits', 'groups', i, 'group'], message, 'give each group one budget')
  })
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
