/**
 * GatehouseConfiguration: the one source of the checks at load, of the defaults and of the JSON
 * Schema for editors. The annotated example is config/gatehouse.yaml.
 */
import { z } from 'zod'

import { LOG_LEVELS } from '../log.ts'
import { duration } from './duration.ts'
import { address, count, headerName, path, port, systemName } from './fields.ts'

/** Defaults that checks across fields need as well. */
export const DEFAULTS = {
  listenerPort: 8_443,
  probesPort: 8_081,
  concurrentRequests: 100,
  maxConnections: 256,
} as const

const sniCertificate = z.strictObject({
  certFile: path('PEM of the certificate and its intermediates'),
  privateKeyFile: path('PEM of its private key'),
  names: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'server names it is for; a list, "*.example.com" too, empty for those in the certificate',
    ),
})

const listener = z.strictObject({
  address: address('where users connect').default('0.0.0.0'),
  port: port('where users connect').default(DEFAULTS.listenerPort),
  tls: z.strictObject({
    certFile: path('PEM of the serving certificate and its intermediates'),
    privateKeyFile: path('PEM of its private key'),
    sniCertificates: z.array(sniCertificate).default([]),
    minVersion: z
      .enum(['VersionTLS12', 'VersionTLS13'])
      .default('VersionTLS12')
      .describe('VersionTLS12 or VersionTLS13'),
    cipherSuites: z
      .array(z.string())
      .default([])
      .describe(
        "TLS 1.2 suites; a list of kube-apiserver's names, empty for all with ECDHE and AEAD",
      ),
  }),
  http2: z
    .strictObject({
      enabled: z.boolean().default(true).describe('true or false'),
      maxConcurrentStreams: count('streams on one HTTP/2 connection', 10_000).default(250),
    })
    .prefault({}),
  strictTransportSecurity: z
    .array(z.string().regex(/^(?:max-age=\d+|includeSubDomains|preload)$/, 'is no HSTS directive'))
    .default([])
    .describe('HSTS directives: max-age=SECONDS, includeSubDomains, preload'),
  limits: z
    .strictObject({
      maxHeaderBytes: z
        .int()
        .min(8_192)
        .max(1_048_576)
        .default(65_536)
        .describe('bytes of one request head; from 8192 to 1048576'),
      maxHeaders: z
        .int()
        .min(20)
        .max(2_000)
        .default(200)
        .describe('header fields of one request; from 20 to 2000'),
      headerTimeout: duration('until a request head is whole').default(10_000),
      idleTimeout: duration('a connection without a request may stay').default(90_000),
      handshakeTimeout: duration('until a TLS handshake is done').default(10_000),
      maxConnections: count('client connections').default(10_000),
      maxConnectionsPerAddress: count('client connections of one address').default(1_000),
    })
    .prefault({}),
})

const authentication = z.strictObject({
  configFile: path('AuthenticationConfiguration with the OIDC issuers').optional(),
  x509: z
    .strictObject({
      clientCAFile: path("PEM bundle of the CAs that sign users' certificates"),
      crlFile: path('PEM bundle of revocation lists, one for each CA').optional(),
    })
    .optional(),
  systemIdentities: z
    .strictObject({
      users: z
        .array(systemName)
        .default([])
        .describe('user names beginning with "system:" that may pass'),
      groups: z
        .array(systemName)
        .default([])
        .describe('groups beginning with "system:" that may pass'),
    })
    .prefault({}),
  tokenCacheSize: count('verified tokens remembered').default(10_000),
})

const bucket = (requestsPerSecond: number, burst: number) =>
  z
    .strictObject({
      requestsPerSecond: z
        .number()
        .positive()
        .max(1_000_000)
        .default(requestsPerSecond)
        .describe('tokens that come back each second; more than 0'),
      burst: count('tokens at most').default(burst),
    })
    .prefault({})

const limits = z.strictObject({
  address: bucket(300, 2_000),
  handshakes: z
    .strictObject({
      handshakesPerSecond: z
        .number()
        .positive()
        .max(1_000_000)
        .default(100)
        .describe('new connections of one address that come back each second; more than 0'),
      burst: count('new connections of one address at most').default(1_000),
    })
    .prefault({}),
  user: z
    .strictObject({
      read: bucket(100, 600),
      write: bucket(50, 300),
      list: bucket(100, 600),
      stream: bucket(50, 300),
    })
    .prefault({}),
  concurrent: z
    .strictObject({
      requests: count('requests of one user at a time').default(DEFAULTS.concurrentRequests),
      streams: count('streams of one user at a time').default(500),
    })
    .prefault({}),
  maxTrackedKeys: count('addresses, and users, that are remembered').default(20_000),
})

const audit = z.strictObject({
  onFailure: z
    .enum(['refuse', 'count'])
    .default('refuse')
    .describe('refuse (requests, while no record can be kept) or count (the loss)'),
  file: z
    .strictObject({
      path: path('audit log'),
      maxSizeMegabytes: count('size at which the file is rotated', 100_000).default(100),
      maxBackups: count('rotated files kept', 10_000).default(100),
      maxAgeDays: count('days that rotated files are kept', 36_500).default(366),
      compress: z.boolean().default(false).describe('true: rotated files are gzipped'),
    })
    .optional(),
  stdout: z
    .strictObject({ enabled: z.boolean().default(true).describe('true or false') })
    .optional(),
})

const upstream = z.strictObject({
  kubeconfig: path("kubeconfig with Gatehouse's own credential").optional(),
  context: z
    .string()
    .min(1)
    .optional()
    .describe('context in it; a name, or leave it out for its current-context'),
  inCluster: z
    .boolean()
    .default(false)
    .describe('true: the service account of the pod is the credential'),
  identity: z
    .strictObject({
      mode: z
        .enum(['impersonation', 'requestheader'])
        .default('impersonation')
        .describe('impersonation or requestheader'),
      requestheader: z
        .strictObject({
          usernameHeader: headerName('--requestheader-username-headers').default('X-Remote-User'),
          groupHeader: headerName('--requestheader-group-headers').default('X-Remote-Group'),
          uidHeader: headerName('--requestheader-uid-headers').default('X-Remote-Uid'),
          extraHeaderPrefix: headerName('--requestheader-extra-headers-prefix')
            .endsWith('-', 'does not end with "-"')
            .default('X-Remote-Extra-'),
        })
        .prefault({}),
    })
    .prefault({}),
  connections: z
    .strictObject({
      maxConnections: count('connections for short requests', 10_000).default(
        DEFAULTS.maxConnections,
      ),
      connectTimeout: duration('until a connection stands').default(5_000),
      idleTimeout: duration('a connection without a request is kept').default(60_000),
      responseHeaderTimeout: duration('until the head of a short answer').default(70_000),
      stallTimeout: duration('a client stops in its request body or in a short answer').default(
        60_000,
      ),
    })
    .prefault({}),
  tolerateAnonymousAuth: z
    .boolean()
    .default(false)
    .describe('true: ready although the API server lets anonymous requests in'),
})

export const configurationSchema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('gatehouse/v1'),
  kind: z.literal('GatehouseConfiguration').describe('GatehouseConfiguration'),
  listener,
  probes: z
    .strictObject({
      address: address('where /livez, /readyz and /metrics are served').default('127.0.0.1'),
      port: port('where /livez, /readyz and /metrics are served').default(DEFAULTS.probesPort),
    })
    .prefault({}),
  authentication,
  authorization: z.strictObject({ rulesFile: path('AccessRules') }),
  limits: limits.prefault({}),
  audit,
  upstream,
  shutdown: z
    .strictObject({
      delay: duration('not ready, but still accepting').default(0),
      gracePeriod: duration('requests under way may take').default(30_000),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS).default('info').describe(LOG_LEVELS.join(', ')),
    })
    .prefault({}),
})

/** Everything set, durations in milliseconds, paths absolute. */
export type Configuration = z.output<typeof configurationSchema>
