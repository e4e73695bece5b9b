/** The listener by itself, with the stages of a test behind it. */
import { createAuthority } from '../../certs-dev/pki.ts'
import {
  startListener,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
} from '../../src/listener/listener.ts'
import type { ListenerEffects } from '../../src/listener/served-connection.ts'
import { buildListenerTls } from '../../src/listener/tls.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import type { RawTarget } from './raw.ts'

export interface BareListener {
  readonly listener: Listener
  readonly target: RawTarget
  readonly metrics: Metrics
  /** The messages of the operational log so far, of level error and above. */
  readonly errors: readonly string[]
  close(): Promise<void>
}

/** The defaults of the configuration, except for streams: h2spec opens one more than the limit. */
const LIMITS: ListenerLimits = {
  maxHeaderBytes: 65_536,
  maxHeaders: 200,
  headerTimeout: 10_000,
  idleTimeout: 90_000,
  handshakeTimeout: 10_000,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1_000,
  maxUnauthenticatedBytes: 67_108_864,
  maxConcurrentStreams: 10,
  handshakes: { requestsPerSecond: 1_000, burst: 1_000 },
  maxTrackedKeys: 100,
}

/** Starts a listener on a free port of 127.0.0.1. */
export async function startBareListener(
  effects: Pick<ListenerEffects, 'handle' | 'onMalformed'>,
  limits: Partial<ListenerLimits> = {},
  more: Partial<ListenerOptions> = {},
): Promise<BareListener> {
  const authority = await createAuthority({ commonName: 'serving' })
  const serving = await authority.issue({
    commonName: 'gatehouse',
    ipAddresses: ['127.0.0.1'],
    dnsNames: ['localhost'],
    usages: ['server'],
  })
  const errors: string[] = []
  const destination = {
    write: (line: string) => errors.push((JSON.parse(line) as { msg: string }).msg),
  }
  const metrics = createMetrics({ processMetrics: false })
  const listener = await startListener(
    {
      address: '127.0.0.1',
      port: 0,
      limits: { ...LIMITS, ...limits },
      http2: true,
      tls: buildListenerTls({
        minVersion: 'VersionTLS12',
        cipherSuites: [],
        serving: { certificate: serving.certificatePem, privateKey: serving.keyPem, names: [] },
        sni: [],
        clientTrust: undefined,
        issuingCA: undefined,
        acceptsSelfSigned: false,
      }),
      requestClientCertificate: false,
      ...more,
    },
    { log: createLog({ level: 'error', destination }), metrics, ...effects },
  )
  return {
    listener,
    target: { port: listener.address.port, ca: authority.certificatePem },
    metrics,
    errors,
    async close() {
      listener.drain()
      await listener.destroy()
    },
  }
}
