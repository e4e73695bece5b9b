/**
 * GatehouseConfiguration: the one source of the checks at load, of the defaults, of the JSON Schema
 * for editors and of docs/configuration.md. The annotated example is config/gatehouse.yaml.
 */
import { z } from 'zod'

import { LOG_LEVELS } from '../log.ts'
import { duration } from './duration.ts'
import {
  address,
  choice,
  count,
  flag,
  headerName,
  inputFile,
  network,
  origin,
  outputFile,
  port,
  rate,
  systemName,
  wholeNumber,
} from './fields.ts'
import { isReservedHeader } from './reserved-headers.ts'

/** Defaults that checks across fields need as well. */
export const DEFAULTS = {
  listenerPort: 8_443,
  probesPort: 8_081,
  concurrentRequests: 100,
  maxConnections: 256,
} as const

const SERVING = { reload: 'serving certificates' }
const CLIENT_CA = { reload: 'client CA' }

const sniCertificate = z.strictObject({
  certFile: inputFile('the certificate in PEM, followed by its intermediates', SERVING),
  privateKeyFile: inputFile('its private key in PEM, not encrypted', SERVING),
  names: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'server names that select this certificate. If empty, the names in the certificate select it; ' +
        'must be a list of names such as gatehouse.example.com or "*.example.com"',
    ),
})

const listener = z
  .strictObject({
    address: address('address that the listener binds').default('0.0.0.0'),
    port: port('port that the listener binds').default(DEFAULTS.listenerPort),
    reusePort: flag(
      'whether several Gatehouses on this machine share the port (SO_REUSEPORT). The kernel ' +
        'distributes new connections among them. Each needs a probes.port and an audit log of its own, ' +
        'and applies its limits by itself',
    ).default(false),
    tls: z
      .strictObject({
        certFile: inputFile(
          'the serving certificate in PEM, followed by its intermediates',
          SERVING,
        ),
        privateKeyFile: inputFile('its private key in PEM, not encrypted', SERVING),
        sniCertificates: z
          .array(sniCertificate)
          .default([])
          .meta({
            description:
              'more certificates, selected by the server name that the client sends (SNI); ' +
              'must be a list of certificates',
            examples: [
              [
                {
                  certFile: 'internal.crt',
                  privateKeyFile: 'internal.key',
                  names: ['gatehouse.internal.example', '*.gatehouse.example'],
                },
              ],
            ],
          }),
        minVersion: choice('oldest TLS version that a client may use', [
          'VersionTLS12',
          'VersionTLS13',
        ]).default('VersionTLS12'),
        cipherSuites: z
          .array(z.string())
          .default([])
          .meta({
            description:
              'TLS 1.2 cipher suites. If empty, all suites with ECDHE and AEAD, the only ones ' +
              "supported; must be a list of kube-apiserver's names of cipher suites",
            examples: [['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384']],
          }),
      })
      .describe('TLS of the listener.'),
    http2: z
      .strictObject({
        enabled: flag('whether clients may use HTTP/2').default(true),
        maxConcurrentStreams: count('concurrent streams on one HTTP/2 connection', 10_000).default(
          250,
        ),
      })
      .describe('HTTP/2 on the listener.')
      .prefault({}),
    proxyProtocol: z
      .strictObject({
        trustedNetworks: z
          .array(network)
          .default([])
          .meta({
            description:
              'load balancers that send the header. Connections from these networks must begin with ' +
              'it, and others must not. If empty, nobody sends it; must be a list of IP addresses and ' +
              'networks',
            examples: [['10.0.5.0/24', 'fd00:5::/64']],
          }),
      })
      .describe(
        'The PROXY protocol, version 1 or 2: a load balancer that passes TLS through sends the address ' +
          "of its client in a header ahead of the client's bytes. Limits and audit events use that " +
          "address. Otherwise all users share the limits of the load balancer's address.",
      )
      .prefault({}),
    strictTransportSecurity: z
      .array(
        z
          .string()
          .regex(/^(?:max-age=\d+|includeSubDomains|preload)$/, 'is not an HSTS directive')
          .describe('a directive; must be max-age=SECONDS, includeSubDomains or preload'),
      )
      .default([])
      .meta({
        description:
          'directives of the Strict-Transport-Security response header (RFC 6797), for browsers. If ' +
          'empty, the header is not sent; must be a list of max-age=SECONDS, includeSubDomains and preload',
        examples: [['max-age=31536000', 'includeSubDomains']],
      }),
    limits: z
      .strictObject({
        maxHeaderBytes: wholeNumber(
          "maximum size of a request's target and header fields together, in bytes. The target may " +
            'have up to 131072 of them, over HTTP/2 up to 65536, as may any other field there',
          8_192,
          1_048_576,
        ).default(196_608),
        maxHeaders: wholeNumber('maximum number of header fields in a request', 20, 2_000).default(
          200,
        ),
        headerTimeout: duration(
          'how long a client may take to send the header fields of a request',
        ).default(10_000),
        idleTimeout: duration(
          'how long a connection without a request is kept. A watch is a request, however silent',
        ).default(90_000),
        handshakeTimeout: duration('how long a TLS handshake may take').default(10_000),
        maxConnections: count(
          'maximum number of client connections. At the limit, a connection without an authenticated ' +
            'request is closed to make room, from the address that holds the most',
        ).default(10_000),
        maxConnectionsPerAddress: count(
          'maximum number of connections from one client address',
        ).default(1_000),
      })
      .describe('Limits of client connections.')
      .prefault({}),
  })
  .describe('The TLS listener that users connect to: `server` in their kubeconfigs.')

const probes = z
  .strictObject({
    address: address('address that the probes bind').default('127.0.0.1'),
    port: port('port that the probes bind').default(DEFAULTS.probesPort),
  })
  .describe(
    '`/livez`, `/readyz?verbose` and `/metrics`, in plain HTTP. They are never served on the ' +
      "users' listener.",
  )

/** Names of fields for a description, such as "`file` or `stdout`". */
function fieldNames(fields: object): string {
  return Object.keys(fields)
    .map((field) => `\`${field}\``)
    .join(' or ')
}

/** Each field enables an authentication method (gatehouse/sign-ins.ts). */
const signInMethods = {
  configFile: inputFile("OIDC issuers, in Kubernetes' AuthenticationConfiguration format", {
    reload: 'authentication configuration',
  }).optional(),
  x509: z
    .strictObject({
      clientCAFile: inputFile('the CAs that sign client certificates, a PEM bundle', CLIENT_CA),
      crlFile: inputFile(
        'revocation lists, a PEM bundle with one list for each CA of clientCAFile, and for each CA below them. If unset, revocation is not checked',
        CLIENT_CA,
      ).optional(),
      allowedOrigins: z
        .array(origin)
        .default([])
        .meta({
          description:
            'other sites that may use the certificates of their users. A browser sends the certificate ' +
            'with the requests of every site, so requests of sites that are not listed are refused ' +
            '(403). The names of the serving certificates need not be listed; must be a list of origins',
          examples: [['https://console.example.com']],
        }),
    })
    .describe(
      'Client certificates: the common name (CN) is the user name, each organization (O) a group.',
    )
    .optional(),
}

const issuerOptions = z.strictObject({
  url: z
    .string()
    .min(1, 'is empty')
    .describe('issuer that the options are for; must be the url of an issuer in configFile'),
  missingGroups: choice(
    'what happens to a token without the claim that `claimMappings.groups` names. unknown: the user ' +
      'is accepted with no groups, every deny rule for groups applies, and no allow rule for groups ' +
      'does. refuse: the token is refused (401)',
    ['unknown', 'refuse'],
  ).default('unknown'),
  sharesNames: flag(
    'whether users of this issuer may have the names and groups of client certificates, and of other ' +
      'issuers with `sharesNames: true`. Whoever controls one of them can then act as a user of the ' +
      'others. By default, prefixes that overlap are refused',
  ).default(false),
})

const authentication = z
  .strictObject({
    ...signInMethods,
    issuers: z
      .array(issuerOptions)
      .default([])
      .meta({
        description:
          "options of single issuers, for which Kubernetes' AuthenticationConfiguration format has " +
          'no field; must be a list of issuers',
        examples: [[{ url: 'https://login.example.com/realms/company', missingGroups: 'refuse' }]],
      }),
    systemIdentities: z
      .strictObject({
        users: z
          .array(systemName)
          .default([])
          .describe('accepted user names; must be a list of names that begin with "system:"'),
        groups: z
          .array(systemName)
          .default([])
          .describe('accepted groups; must be a list of names that begin with "system:"'),
      })
      .describe(
        'Names that begin with "system:" are reserved for Kubernetes. A credential that claims one ' +
          'is rejected (403) unless the name is listed here.',
      )
      .prefault({}),
    unusableGroups: choice(
      'what happens to a user with a group whose name cannot be sent to the API server unchanged: ' +
        'blanks at an end, control or invisible characters, or too long. refuse: the user is rejected ' +
        '(403). drop: the user is accepted without that group, which only deny rules count, and a ' +
        'warning in the log names it',
      ['refuse', 'drop'],
    ).default('refuse'),
    tokenCacheSize: count('verified tokens that are cached until they expire').default(10_000),
  })
  .describe(
    `How users authenticate. At least one authentication method is required: ${fieldNames(signInMethods)}. ` +
      'There are no ' +
      'anonymous users: a request without a valid credential is refused (401).',
  )

const authorization = z
  .strictObject({ rulesFile: inputFile('access rules, an AccessRules file', { reload: 'rules' }) })
  .describe(
    "Which requests pass. Kubernetes' RBAC still decides behind Gatehouse: rules can only take away.",
  )

const bucket = (description: string, requestsPerSecond: number, burst: number) =>
  z
    .strictObject({
      requestsPerSecond: rate('refill rate, in requests per second').default(requestsPerSecond),
      burst: count('bucket size, in requests').default(burst),
    })
    .describe(description)
    .prefault({})

const limits = z
  .strictObject({
    address: bucket(
      'Requests of one client address, counted before authentication. An IPv6 /64 counts as one address.',
      300,
      2_000,
    ),
    handshakes: z
      .strictObject({
        handshakesPerSecond: rate('refill rate, in connections per second').default(100),
        burst: count('bucket size, in connections').default(1_000),
      })
      .describe(
        'New connections of one client address. A connection beyond the limit is closed before its TLS ' +
          'handshake. kubectl opens one connection each time it runs. Client certificates of more than ' +
          '10 KiB count as another 200 connections. If more than 64 handshakes are unfinished, the ' +
          'oldest is aborted.',
      )
      .prefault({}),
    user: z
      .strictObject({
        read: bucket('Requests that read one object.', 100, 600),
        write: bucket('Requests that change something.', 50, 300),
        list: bucket('Requests that list a collection.', 100, 600),
        stream: bucket('watch, logs, exec, attach and port-forward.', 50, 300),
      })
      .describe('Requests of one user, counted by their kind.')
      .prefault({}),
    concurrent: z
      .strictObject({
        requests: count(
          'requests that are not streams. Keep it well below upstream.connections.maxConnections, ' +
            'or one user can hold all of those connections',
        ).default(DEFAULTS.concurrentRequests),
        streams: count('watch, logs, exec, attach and port-forward').default(500),
      })
      .describe('Requests of one user that run at the same time.')
      .prefault({}),
    maxTrackedKeys: count(
      'addresses and users that are tracked. Beyond that, the least recently seen are forgotten',
    ).default(20_000),
  })
  .describe(
    'Rate and concurrency limits. A request beyond one of them is refused (429). Rates are token ' +
      'buckets: `burst` requests at once, refilled at the rate. The defaults never refuse kubectl, ' +
      'helm or client-go at their usual speed.',
  )

/** Each field enables an audit sink (gatehouse/sinks.ts). */
const sinks = {
  file: z
    .strictObject({
      path: outputFile('the audit log'),
      maxSizeMegabytes: count('size at which the file is rotated, in megabytes', 100_000).default(
        100,
      ),
      maxBackups: count('rotated files that are kept', 10_000).default(100),
      maxAgeDays: count('how long rotated files are kept, in days', 36_500).default(366),
      compress: flag('whether rotated files are compressed with gzip').default(false),
    })
    .describe('A file of JSON lines.')
    .optional(),
  stdout: z
    .strictObject({
      enabled: flag('whether events are written to standard output').default(true),
    })
    .describe('JSON lines on standard output.')
    .optional(),
}

const audit = z
  .strictObject({
    onFailure: choice(
      'what happens to requests while no sink accepts events: they are refused, or served and the ' +
        'lost events counted',
      ['refuse', 'count'],
    ).default('refuse'),
    unauthenticated: z
      .strictObject({
        bytesPerSecond: count('bytes that are added each second').default(512),
        burstBytes: wholeNumber('bytes that can be spent at once', 65_536, 1_000_000_000).default(
          8_388_608,
        ),
      })
      .describe(
        'Budget for the events of unauthenticated clients, so that they cannot rotate the history of ' +
          'users away. One address gets a quarter of the burst and half of the rate. Beyond it, one ' +
          'event per address and minute says how many requests there were.',
      )
      .prefault({}),
    ...sinks,
  })
  .describe(
    'One audit.k8s.io/v1 event for every request, refused ones included. At least one sink is ' +
      `required: ${fieldNames(sinks)}.`,
  )

const upstream = z
  .strictObject({
    kubeconfig: inputFile(
      "kubeconfig with Gatehouse's own credential: a client certificate, token or tokenFile. Files " +
        'that it names are watched as well',
      { reload: 'upstream credential' },
    ).optional(),
    context: z
      .string()
      .min(1)
      .optional()
      .describe(
        'context of the kubeconfig. If unset, its current-context; must be the name of a context',
      ),
    inCluster: flag("whether the credential is the service account of Gatehouse's pod").default(
      false,
    ),
    identity: z
      .strictObject({
        mode: choice(
          'how the identity is sent: impersonation needs the permissions in deploy/kubernetes, ' +
            'requestheader a client certificate that is verified by --requestheader-client-ca-file ' +
            'of the API server',
          ['impersonation', 'requestheader'],
        ).default('impersonation'),
        requestheader: z
          .strictObject({
            usernameHeader: headerName('the value of --requestheader-username-headers').default(
              'X-Remote-User',
            ),
            groupHeader: headerName('the value of --requestheader-group-headers').default(
              'X-Remote-Group',
            ),
            uidHeader: headerName('the value of --requestheader-uid-headers').default(
              'X-Remote-Uid',
            ),
            extraHeaderPrefix: headerName('the value of --requestheader-extra-headers-prefix')
              .endsWith('-', 'does not end with "-"')
              .default('X-Remote-Extra-'),
          })
          .describe('Header names for `mode: requestheader`, as in the flags of the API server.')
          .prefault({}),
      })
      .describe("How the API server learns the user's identity.")
      .prefault({}),
    additionalRequestHeaders: z
      .array(
        headerName("a client's request header").refine(
          (name) => !isReservedHeader(name.toLowerCase()),
          'is never forwarded',
        ),
      )
      .default([])
      .describe(
        'request headers that are forwarded besides those that kube-apiserver reads, such as those ' +
          'of a dashboard behind a proxy subresource. Name none from which something behind ' +
          'Gatehouse takes the identity of the user; must be a list of header names',
      ),
    connections: z
      .strictObject({
        maxConnections: count(
          'connections for short requests. Streams do not use them',
          10_000,
        ).default(DEFAULTS.maxConnections),
        connectTimeout: duration(
          'how long a connection may take to open, TLS handshake included',
        ).default(5_000),
        idleTimeout: duration('how long an unused connection is kept').default(60_000),
        responseHeaderTimeout: duration(
          'how long the API server may take to begin or to continue a short response',
        ).default(70_000),
        stallTimeout: duration(
          'how long a client may stall while sending a body or reading a short response',
        ).default(60_000),
        bodyTimeout: duration(
          'how long a client may take to send the whole body of a request that is not a stream. ' +
            'kube-apiserver limits such requests to a minute as well',
        ).default(60_000),
      })
      .describe('Connections to the API server.')
      .prefault({}),
    tolerateAnonymousAuth: flag(
      'whether Gatehouse is ready even if the API server accepts anonymous requests. Clients that ' +
        'reach such an API server directly bypass Gatehouse',
    ).default(false),
  })
  .describe(
    "The API server, and Gatehouse's own credential for it. Exactly one of `kubeconfig` and " +
      '`inCluster: true` is required.',
  )

const shutdown = z
  .strictObject({
    delay: duration('how long Gatehouse accepts connections after it has become unready').default(
      0,
    ),
    gracePeriod: duration(
      'how long requests and streams may continue after the delay. Remaining streams are then ended',
    ).default(30_000),
  })
  .describe('What happens on SIGTERM and SIGINT. Gatehouse becomes unready at once.')

const log = z
  .strictObject({ level: choice('least severe level that is logged', LOG_LEVELS).default('info') })
  .describe('The operational log: JSON lines on standard error.')

export const configurationSchema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('version of the format; must be gatehouse/v1'),
  kind: z
    .literal('GatehouseConfiguration')
    .describe('kind of the document; must be GatehouseConfiguration'),
  listener,
  probes: probes.prefault({}),
  authentication,
  authorization,
  limits: limits.prefault({}),
  audit,
  upstream,
  shutdown: shutdown.prefault({}),
  log: log.prefault({}),
})

/** Every field set, durations in milliseconds, paths absolute. */
export type Configuration = z.output<typeof configurationSchema>

export type SignInField = keyof typeof signInMethods
export const SIGN_IN_FIELDS = Object.keys(signInMethods) as readonly SignInField[]

export type SinkField = keyof typeof sinks
export const SINK_FIELDS = Object.keys(sinks) as readonly SinkField[]
