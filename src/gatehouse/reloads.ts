/**
 * What is read again when its files change. Each reload builds the new thing whole, and only then
 * puts it in place of the old one: what does not load changes nothing.
 */
import { loadAuthenticationConfiguration } from '../authentication/oidc/authentication-config.ts'
import { createCertificateRecheck } from '../authentication/x509/certificate-recheck.ts'
import { loadClientTrust } from '../authentication/x509/client-ca.ts'
import { loadRules } from '../authorization/rules/load.ts'
import { loadUpstreamCredential } from '../cluster/load.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { formatProblem, type ConfigProblem } from '../config/problem.ts'
import { watchFiles, type WatchedFiles, type Watcher } from '../config/watch.ts'
import { peerChain } from '../listener/client-connection.ts'
import type { Listener } from '../listener/listener.ts'
import { loadServingCertificates } from '../listener/serving-certificates.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { LiveRequests, Review } from '../pipeline/live-requests.ts'
import { buildTls, type Built } from './build.ts'
import {
  recordExpirations,
  reportClientTrust,
  reportServing,
  reportUpstream,
  type CertificateReport,
} from './certificate-report.ts'
import { reportCertificates, upstreamSource, type Loaded } from './load.ts'

export interface ReloadParts {
  readonly loaded: Loaded
  readonly built: Built
  readonly listener: Listener
  readonly streams: LiveRequests
  readonly inCluster: InClusterEnvironment
  readonly log: Log
  readonly metrics: Metrics
  /** Something was reloaded that readiness should look at again. */
  readonly onReloaded: () => void
}

/** Begins to watch; stop the watcher at the end. */
export function startReloads(parts: ReloadParts): Watcher {
  const { log, metrics } = parts
  const watched = [
    ...listenerReloads(parts),
    rulesReload(parts),
    credentialReload(parts),
    ...issuers(parts),
  ]
  // What was loaded at the start is the first success.
  for (const { what } of watched) recordSuccess(metrics, what)
  for (const report of reportCertificates(parts.loaded, Date.now())) {
    recordExpirations(metrics, report)
  }
  return watchFiles(
    watched,
    {
      onReloaded(what) {
        metrics.reloads.inc({ what, result: 'ok' })
        recordSuccess(metrics, what)
        log.info({ what }, 'reloaded')
        parts.onReloaded()
      },
      onFailed(what, error) {
        metrics.reloads.inc({ what, result: 'failed' })
        metrics.lastReloadSuccessful.set({ what }, 0)
        log.error({ what, err: error }, 'reload failed; the last good version stays in force')
      },
    },
    parts.loaded.digests,
  )
}

function recordSuccess(metrics: Metrics, what: string): void {
  metrics.lastReloadSuccessful.set({ what }, 1)
  metrics.lastReloadSuccess.set({ what }, Date.now() / 1_000)
}

/** Problems that do not keep a file from working, one line of log each. */
export function logWarnings(warnings: readonly ConfigProblem[], log: Log): void {
  for (const warning of warnings) log.warn({ problem: formatProblem(warning) }, 'configuration')
}

/** Told of what has been put in force. */
function tell(report: CertificateReport, { metrics, log }: ReloadParts): void {
  logWarnings(report.warnings, log)
  recordExpirations(metrics, report)
}

function rulesReload({ loaded, built, streams, log }: ReloadParts): WatchedFiles {
  const { rulesFile } = loaded.configuration.authorization
  return {
    what: 'rules',
    files: () => [rulesFile],
    reload() {
      const { authorize, warnings } = loadRules(rulesFile)
      built.stages.authorize = authorize
      logWarnings(warnings, log)
      const ended = streams.recheck(authorize)
      if (ended > 0) log.info({ streams: ended }, 'ended streams that the new rules forbid')
    },
  }
}

function credentialReload(parts: ReloadParts): WatchedFiles {
  const { loaded, built, inCluster } = parts
  const source = upstreamSource(loaded.configuration, inCluster)
  return {
    what: 'upstream credential',
    files: () => built.stages.upstream.current().files,
    reload() {
      const next = loadUpstreamCredential(source)
      built.stages.upstream.updateCredential(next)
      tell(reportUpstream(next, Date.now()), parts)
    },
  }
}

function issuers({ loaded, built: { oidc }, streams, log }: ReloadParts): WatchedFiles[] {
  const { configFile } = loaded.configuration.authentication
  if (configFile === undefined || oidc === undefined) return []
  const review = (): void =>
    endUnaccepted(streams, log, ({ authentication }) =>
      authentication.method === 'oidc' ? oidc.review(authentication) : undefined,
    )
  oidc.onKeyDropped(review)
  return [
    {
      what: 'authentication configuration',
      files: () => [configFile],
      reload() {
        oidc.update(loadAuthenticationConfiguration(configFile))
        review()
      },
    },
  ]
}

function endUnaccepted(streams: LiveRequests, log: Log, review: Review): void {
  const ended = streams.review(review)
  if (ended > 0) log.info({ streams: ended }, 'ended streams whose sign-in is no longer accepted')
}

/** Serving certificates and client CA both end in the listener's TLS, each from its last good state. */
function listenerReloads(parts: ReloadParts): WatchedFiles[] {
  const { loaded, listener, streams, log } = parts
  const { tls } = loaded.configuration.listener
  const { x509 } = loaded.configuration.authentication
  let { certificates, clientTrust } = loaded

  const serving: WatchedFiles = {
    what: 'serving certificates',
    files: () => [
      tls.certFile,
      tls.privateKeyFile,
      ...tls.sniCertificates.flatMap((pair) => [pair.certFile, pair.privateKeyFile]),
    ],
    reload() {
      const next = loadServingCertificates(tls)
      listener.updateTls(buildTls(tls, next, clientTrust), false)
      certificates = next
      tell(reportServing(tls, next, Date.now()), parts)
    },
  }
  if (x509 === undefined) return [serving]
  const trust: WatchedFiles = {
    what: 'client CA',
    files: () => [x509.clientCAFile, ...(x509.crlFile === undefined ? [] : [x509.crlFile])],
    reload() {
      const next = loadClientTrust(x509.clientCAFile, x509.crlFile)
      listener.updateTls(buildTls(tls, certificates, next), true)
      clientTrust = next
      const review = createCertificateRecheck(next)
      endUnaccepted(streams, log, ({ authentication, connection }) =>
        authentication.method === 'x509' ? review(peerChain(connection)) : undefined,
      )
      tell(reportClientTrust(x509, next, Date.now()), parts)
    },
  }
  return [serving, trust]
}
