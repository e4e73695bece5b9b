/** Runs a complete Gatehouse in this process: loads, builds, listens, watches files and shuts down. */
import type { Configuration } from '../config/schema.ts'
import type { Watcher } from '../config/watch.ts'
import type { CertificateIssuer } from '../issuance/certificate-issuer.ts'
import type { CertificateService } from '../issuance/certificate-service.ts'
import { binding } from '../listener/bind-error.ts'
import {
  startListener,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
} from '../listener/listener.ts'
import { throttledLog } from '../log-throttle.ts'
import { createLog, createStderr, type Log } from '../log.ts'
import type { LossyOutput } from '../lossy-output.ts'
import { createMetrics, type Metrics } from '../metrics.ts'
import { createFrame } from '../pipeline/frame.ts'
import { createHandlerChain } from '../pipeline/handler-chain.ts'
import { createLiveRequests } from '../pipeline/live-requests.ts'
import { createStreamExpiry } from '../pipeline/stream-expiry.ts'
import { startProbes } from '../probes/probes.ts'
import { readinessChecks } from '../probes/readiness-checks.ts'
import { watchUpstream } from '../probes/upstream-readiness.ts'
import { createCertificates } from '../sign-in/certificates.ts'
import { createRoutes } from '../sign-in/routes.ts'
import { createLocksApi } from '../sign-in/locks.ts'
import { createWhoAmI } from '../sign-in/whoami.ts'
import { buildStages } from './build.ts'
import { eventHandlers } from './event-handlers.ts'
import { createListenerTlsParts, type ListenerTlsParts } from './listener-tls.ts'
import { loadAll, type LoadEnvironment } from './load.ts'
import { logWarnings, startReloads } from './reloads.ts'
import { createShutdown } from './shutdown.ts'
import { identityNames } from './start-cluster.ts'

export interface GatehouseOptions extends LoadEnvironment {
  readonly configFile: string
  /** Replaces the log to stderr at the configured level. */
  readonly log?: Log
  /** Where the log is written at the configured level; whoever passes it flushes it. */
  readonly stderr?: LossyOutput
  /** Called with each password that a server may repeat, and a library then prints. */
  readonly onPassword?: (password: string) => void
  /** Whether metrics of the Node process are served; only for a process with one Gatehouse. */
  readonly processMetrics?: boolean
}

export interface BoundAddress {
  readonly host: string
  readonly port: number
}

export interface Gatehouse {
  readonly address: BoundAddress
  readonly probes: BoundAddress
  readonly metrics: Metrics
  readonly log: Log
  /** Loads changed files now instead of within two seconds. */
  reload(): void
  /** Shuts down as SIGTERM does; `now` skips delay and grace period. */
  close(now?: boolean): Promise<void>
}

/**
 * Starts Gatehouse.
 *
 * @throws ConfigError with every problem of the configuration and its files
 * @throws BindError when an address cannot be bound
 */
export async function startGatehouse(options: GatehouseOptions): Promise<Gatehouse> {
  const loaded = loadAll(options.configFile, options)
  const { configuration } = loaded
  const stderr = options.stderr ?? createStderr()
  const log = options.log ?? createLog({ ...configuration.log, destination: stderr })
  logWarnings(loaded.warnings, log)
  const metrics = createMetrics({
    processMetrics: options.processMetrics ?? true,
    droppedLogLines: () => stderr.dropped,
  })

  const live = createLiveRequests({
    onCutFailed: (err) => log.error({ err }, 'a request could not be ended'),
  })
  const listenerTls = createListenerTlsParts({
    ...configuration.listener.tls,
    pagesName: pagesName(configuration.signIn),
    acceptsSelfSigned: configuration.authentication.boundTokens.selfSignedCertificates === 'accept',
  })
  const built = await buildStages(loaded, {
    ...{ log, metrics, live, listenerTls },
    onPassword: options.onPassword ?? (() => undefined),
  })
  const { stages, cluster, signIns } = built
  const responseHeaders = hstsHeader(configuration.listener.strictTransportSecurity)
  const frame = createFrame({ stages, responseHeaders }, { log, metrics })
  const { ownHeaders } = frame
  const originPolicy = {
    allowedOrigins: new Set(configuration.authentication.x509?.allowedOrigins),
    isServingName: (host: string) => listenerTls.isServingName(host),
  }
  const handlerOf = createRoutes(
    {
      discovery: built.discovery.handle(ownHeaders),
      whoami: createWhoAmI({ stages, ownHeaders, originPolicy }),
      locks: createLocksApi({
        ...{ stages, ownHeaders, originPolicy, locks: stages.locks, store: built.lockStore },
        administrators: configuration.locks.administrators,
      }),
      certificates: createCertificates({
        ...{ stages, ownHeaders, originPolicy },
        service: built.certificates,
        refuse: built.refuse,
      }),
      ...eventHandlers(built, configuration, { ownHeaders, log, metrics }),
      pages: built.pages?.handlers({
        ...{ stages, ownHeaders },
        certificates: certificatesOfPages(configuration, built.certificates),
      }),
      kubernetes: createHandlerChain({ stages, live, ownHeaders, originPolicy }, { metrics }),
    },
    { stages },
  )
  const upstream = watchUpstream(
    () => ({
      reviewClient: built.reviewClient,
      identity: identityNames(configuration.upstream.identity),
      tolerateAnonymousAuth: configuration.upstream.tolerateAnonymousAuth,
    }),
    { log, identityGate: built.identityGate },
  )
  const streamExpiry = createStreamExpiry(configuration.authentication.streams, {
    live,
    onEnded: (streams) => log.info({ streams }, 'ended streams that expired'),
  })
  let listener: Listener | undefined
  let reloads: Watcher | undefined
  let open = 0
  const ended = (): void => {
    open -= 1
  }
  const stopBackground = (): Promise<void> => {
    reloads?.stop()
    upstream.stop()
    streamExpiry.close()
    built.lockStore.close()
    built.revocations.close()
    built.securityEvents?.close()
    void built.reviewClient.close()
    void built.accessReviewClient.close()
    for (const signIn of signIns) signIn.close()
    built.pages?.close()
    frame.close()
    return built.sharedState.close()
  }

  try {
    const bound = listenerOptions(configuration, listenerTls)
    listener = await binding({ field: 'listener', ...bound }, () =>
      startListener(bound, {
        log,
        metrics,
        handle(exchange) {
          open += 1
          frame.serve(exchange, handlerOf(exchange.request)).then(ended, (error: unknown) => {
            ended()
            const message = 'unhandled error outside the request pipeline'
            throttledLog(log).error({ err: error }, message)
            exchange.response.destroy()
          })
        },
        onMalformed: (connection, code, message) =>
          frame.recordMalformed(connection, code, message),
      }),
    )
    listenerTls.attach(listener)
    let ending: () => string | undefined = () => undefined
    const probes = await binding({ field: 'probes', ...configuration.probes }, () =>
      startProbes(
        {
          ...configuration.probes,
          checks: readinessChecks({
            listening: () => listener !== undefined,
            ending: () => ending(),
            reloads: () => reloads,
            auditor: stages.auditor,
            signIns,
            store: built.sharedState.store,
            needsStore: configuration.state.onFailure === 'refuse',
            lockStore: built.lockStore,
            revocations: built.revocations,
            transmitters: built.securityEvents,
            upstream,
          }),
        },
        { metrics },
      ),
    )
    reloads = startReloads(
      { reloadables: built.reloadables, digests: loaded.digests },
      { log, metrics, onReloaded: () => upstream.again() },
    )
    const shutdown = createShutdown({
      listener,
      probes,
      live,
      upstream: cluster.upstream,
      auditor: stages.auditor,
      openExchanges: () => open,
      stopBackground,
      log,
      ...configuration.shutdown,
    })
    ending = shutdown.ending
    log.info(
      { address: listener.address.host, port: listener.address.port, probes: probes.address },
      'listening',
    )
    return {
      address: listener.address,
      probes: probes.address,
      metrics,
      log,
      reload: () => reloads?.poll(),
      close: (now) => shutdown.run(now),
    }
  } catch (error) {
    void stopBackground()
    await listener?.destroy()
    await stages.auditor.close()
    throw error
  }
}

function listenerOptions(
  configuration: Configuration,
  listenerTls: ListenerTlsParts,
): ListenerOptions {
  const { address, port, reusePort, proxyProtocol, http2 } = configuration.listener
  return {
    address,
    port,
    reusePort,
    proxyNetworks: proxyProtocol.trustedNetworks,
    limits: listenerLimits(configuration),
    http2: http2.enabled,
    tls: listenerTls.current(),
    requestClientCertificate: listenerTls.requestsCertificates,
  }
}

/** All limits of the listener, wherever they are in the configuration. */
export function listenerLimits({ listener, limits }: Configuration): ListenerLimits {
  const { handshakesPerSecond, burst } = limits.handshakes
  return {
    ...listener.limits,
    maxConcurrentStreams: listener.http2.maxConcurrentStreams,
    handshakes: { requestsPerSecond: handshakesPerSecond, burst },
    maxTrackedKeys: limits.maxTrackedKeys,
  }
}

/** What issues certificates for sign-ins at the issuer of the pages; undefined where none are issued for these. */
function certificatesOfPages(
  { signIn, authentication }: Configuration,
  service: CertificateService | undefined,
): CertificateIssuer | undefined {
  const issuers: readonly string[] = authentication.issuedCertificates?.issuers ?? []
  const issuer = signIn.pages?.issuer
  return issuer !== undefined && issuers.includes(issuer) ? service?.issuer : undefined
}

/** The server name for which no client certificate is requested; it must not be that of the API. */
function pagesName({ pages }: Configuration['signIn']): string | undefined {
  if (pages === undefined) return undefined
  const { hostname } = new URL(pages.url)
  return pages.apiURL === undefined || new URL(pages.apiURL).hostname === hostname
    ? undefined
    : hostname
}

/** RFC 6797; joined as kube-apiserver's --strict-transport-security-directives. */
function hstsHeader(
  directives: Configuration['listener']['strictTransportSecurity'],
): readonly string[] {
  return directives.length === 0 ? [] : ['Strict-Transport-Security', directives.join('; ')]
}
