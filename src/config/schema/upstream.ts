/** `upstream` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, count, flag, headerName, inputFile } from '../fields.ts'
import { isReservedHeader } from '../reserved-headers.ts'
import { DEFAULTS } from './defaults.ts'

export const upstream = z
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
    queue: z
      .strictObject({
        maxRequests: count(
          'requests that may wait, of all users together. Streams that wait for a connection are ' +
            'counted apart, with the same limits',
        ).default(2_000),
        maxRequestsPerUser: count(
          'requests of one user that may wait. One more gets 429. Requests that wait also count for ' +
            '`limits.concurrent`',
        ).default(500),
        maxWait: duration(
          'how long a request may wait before it gets 503. The default is that of kube-apiserver',
        ).default(15_000),
      })
      .describe(
        'Requests that wait for a connection to the API server, because all ' +
          '`connections.maxConnections` are in use. The users who wait take turns, one request each.',
      )
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
