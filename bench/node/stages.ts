/**
 * Gatehouse with some of its stages replaced by ones that allow everything at no cost:
 * `--config FILE --stages request,limits,...`. The named stages are the real ones. If none is named,
 * the handler chain is left out as well: only listener and upstream remain.
 */
import { parseArgs } from 'node:util'

import type { Auditor } from '../../src/audit/record.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import { admit, type Authorized, type Decision } from '../../src/authorization/authorizer.ts'
import { inClusterFrom } from '../../src/config/environment.ts'
import { buildStages } from '../../src/gatehouse/build.ts'
import { createListenerTlsParts } from '../../src/gatehouse/listener-tls.ts'
import { loadAll } from '../../src/gatehouse/load.ts'
import { listenerLimits } from '../../src/gatehouse/serve.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { startListener } from '../../src/listener/listener.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createFrame } from '../../src/pipeline/frame.ts'
import { createHandlerChain } from '../../src/pipeline/handler-chain.ts'
import { createLiveRequests } from '../../src/pipeline/live-requests.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'

const { values } = parseArgs({
  options: { config: { type: 'string' }, stages: { type: 'string' } },
})
const real = new Set((values.stages ?? '').split(','))

const loaded = loadAll(values.config ?? '', { inCluster: inClusterFrom({}) })
const log = createLog({ level: 'warn' })
const metrics = createMetrics({ processMetrics: false })
const live = createLiveRequests({ onCutFailed: () => undefined })
const listenerTls = createListenerTlsParts({
  ...loaded.configuration.listener.tls,
  acceptsSelfSigned: false,
})
const onPassword = (): void => undefined
const effects = { log, metrics, live, listenerTls, onPassword }
const { stages, cluster } = await buildStages(loaded, effects)

const authentication: Authentication = {
  user: { username: 'oidc:ada@example.com', uid: '', groups: ['oidc:engineers'], extra: {} },
  method: 'oidc',
  annotations: {},
}
const allowed: Decision = { decision: 'allow', rule: 'all', reason: '', shadow: [] }
const nothing = (): undefined => undefined
const notRecorded = {
  forwarding: nothing,
  identityAsserted: nothing,
  holdsResponse: false,
  responseStarted: nothing,
  recorded: undefined,
}
const noAudit: Auditor = {
  open: () => ({
    auditID: '0f0e0d0c-0b0a-4908-8706-050403020100',
    servedHere: nothing,
    admitted: nothing,
    resolved: nothing,
    authenticated: nothing,
    impersonated: nothing,
    issued: nothing,
    decided: nothing,
    ...notRecorded,
    close: nothing,
  }),
  healthy: nothing,
  close: async () => undefined,
}
if (!real.has('limits')) {
  stages.limiter = {
    admitAddress: nothing,
    admitSignIn: nothing,
    admitUser: () => ({ state: undefined, release: nothing }),
  }
}
if (!real.has('authentication')) stages.authenticate = () => authentication
if (!real.has('authorization')) cluster.authorize = () => allowed
if (!real.has('audit')) stages.auditor = noAudit

/** Forwards a request without the handler chain: all requests share one authorization. */
const forward = (authorized: Authorized) => (exchange: Exchange) => {
  void cluster.upstream
    .forward({
      exchange,
      authorized,
      target: parseTarget('GET', exchange.request.rawTarget),
      auditID: '0f0e0d0c-0b0a-4908-8706-050403020100',
      ownHeaders: [],
      record: notRecorded,
    })
    .catch(() => exchange.response.destroy())
}

const frame = createFrame({ stages, responseHeaders: [] }, { log, metrics })
const { ownHeaders } = frame
const originPolicy = { allowedOrigins: new Set<string>(), isServingName: () => false }
const handlerChain = createHandlerChain({ stages, live, ownHeaders, originPolicy }, { metrics })
const info = resolveRequestInfo('GET', parseTarget('GET', '/api/v1/namespaces/default/pods/web'))
const authorized = await admit({ user: authentication.user, info }, () => allowed, nothing)

const { listener } = loaded.configuration
await startListener(
  {
    address: listener.address,
    port: listener.port,
    limits: listenerLimits(loaded.configuration),
    http2: true,
    tls: listenerTls.current(),
    requestClientCertificate: false,
  },
  {
    log,
    metrics,
    handle: real.has('request')
      ? (exchange) => void frame.serve(exchange, handlerChain)
      : forward(authorized),
    onMalformed: nothing,
  },
)
