/**
 * Gatehouse with some of its stages replaced by ones that let everything by at no cost:
 * `--config FILE --stages request,limits,...`. The stages named are the real ones. With none, even
 * the handler chain is left out: listener and upstream only.
 */
import { parseArgs } from 'node:util'

import type { Auditor } from '../../src/audit/record.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import { admit, type Authorized, type Decision } from '../../src/authorization/authorizer.ts'
import { inClusterFrom } from '../../src/config/environment.ts'
import { buildStages, buildTls } from '../../src/gatehouse/build.ts'
import { loadAll } from '../../src/gatehouse/load.ts'
import { listenerLimits } from '../../src/gatehouse/serve.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { startListener } from '../../src/listener/listener.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createHandlerChain } from '../../src/pipeline/handler-chain.ts'
import { createLiveRequests } from '../../src/pipeline/live-requests.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'

const { values } = parseArgs({
  options: { config: { type: 'string' }, stages: { type: 'string' } },
})
const real = new Set((values.stages ?? '').split(','))

const loaded = loadAll(values.config ?? '', inClusterFrom({}))
const log = createLog({ level: 'warn' })
const metrics = createMetrics({ processMetrics: false })
const { stages } = buildStages(loaded, { log, metrics, clientTrustGeneration: () => 0 })

const authentication: Authentication = {
  user: { username: 'oidc:ada@example.com', uid: '', groups: ['oidc:engineers'], extra: {} },
  method: 'oidc',
  annotations: {},
}
const allowed: Decision = { decision: 'allow', rule: 'all', reason: '', shadow: [] }
const nothing = (): undefined => undefined
const noAudit: Auditor = {
  open: () => ({
    auditID: '0f0e0d0c-0b0a-4908-8706-050403020100',
    resolved: nothing,
    authenticated: nothing,
    decided: nothing,
    identityAsserted: nothing,
    mark: nothing,
    responseStarted: nothing,
    close: nothing,
  }),
  healthy: nothing,
  close: async () => undefined,
}
if (!real.has('limits')) {
  stages.limiter = {
    admitAddress: nothing,
    admitUser: () => ({ state: undefined, release: nothing }),
  }
}
if (!real.has('authentication')) stages.authenticate = () => authentication
if (!real.has('authorization')) stages.authorize = () => allowed
if (!real.has('audit')) stages.auditor = noAudit

/** Every request is the same one: judged once, and only carried from then on. */
const carry = (authorized: Authorized) => (exchange: Exchange) => {
  void stages.upstream
    .forward({
      exchange,
      authorized,
      target: parseTarget('GET', exchange.request.rawTarget),
      auditID: '0f0e0d0c-0b0a-4908-8706-050403020100',
      ownHeaders: [],
      onHead: nothing,
    })
    .catch(() => exchange.response.destroy())
}

const chain = createHandlerChain({
  stages,
  streams: createLiveRequests(),
  responseHeaders: [],
  log,
  metrics,
})
const info = resolveRequestInfo('GET', parseTarget('GET', '/api/v1/namespaces/default/pods/web'))
const authorized = await admit({ user: authentication.user, info }, () => allowed, nothing)

const { listener } = loaded.configuration
await startListener(
  {
    address: listener.address,
    port: listener.port,
    limits: listenerLimits(loaded.configuration),
    http2: true,
    tls: buildTls(listener.tls, loaded.certificates, loaded.clientTrust),
    requestClientCertificate: false,
  },
  {
    log,
    metrics,
    handle: real.has('request') ? (exchange) => void chain.handle(exchange) : carry(authorized),
    onMalformed: nothing,
  },
)
