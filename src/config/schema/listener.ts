/** `listener` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { address, choice, count, flag, inputFile, network, port, wholeNumber } from '../fields.ts'
import { DEFAULTS } from './defaults.ts'

const SERVING = { reload: 'serving certificates' }

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

export const listener = z
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
        ).default(4_000),
        maxConnectionsPerAddress: count(
          'maximum number of connections from one client address',
        ).default(1_000),
        maxUnauthenticatedBytes: wholeNumber(
          'bytes of requests that all clients together may keep in memory before they are ' +
            'authenticated: unfinished headers, and tokens that are being verified. Beyond it, the ' +
            'connections that keep most are closed',
          1_048_576,
          1_073_741_824,
        ).default(67_108_864),
      })
      .describe('Limits of client connections.')
      .prefault({}),
  })
  .describe('The TLS listener that users connect to: `server` in their kubeconfigs.')
