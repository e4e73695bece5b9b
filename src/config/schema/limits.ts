/** `limits` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { count, rate } from '../fields.ts'
import { DEFAULTS } from './defaults.ts'

const bucket = (description: string, requestsPerSecond: number, burst: number) =>
  z
    .strictObject({
      requestsPerSecond: rate('refill rate, in requests per second').default(requestsPerSecond),
      burst: count('bucket size, in requests').default(burst),
    })
    .describe(description)
    .prefault({})

export const limits = z
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
          '10 KiB count as another 200 connections. If more than 64 handshakes are unfinished, or ' +
          '256 of all addresses, the oldest is aborted.',
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
    groups: z
      .array(
        z
          .strictObject({
            group: z
              .string()
              .min(1, 'is empty')
              .describe('name of the group, as rules and the API server see it; must be a name'),
            requestsPerSecond: rate('refill rate, in requests per second'),
            burst: count('bucket size, in requests'),
          })
          .describe('A budget that all users of a group share.'),
      )
      .max(100, 'has more than 100 groups')
      .default([])
      .meta({
        description:
          'budgets of groups. A request counts against the budget of each listed group of its user, ' +
          'whatever its kind, and beside the limits of the user; must be a list',
        examples: [[{ group: 'oidc:ci', requestsPerSecond: 200, burst: 1000 }]],
      }),
    signIn: bucket(
      "Requests of one client address to Gatehouse's own endpoints, /.well-known/gatehouse and " +
        '/gatehouse/. They also count as requests of the address.',
      20,
      200,
    ),
    failedSignIns: z
      .strictObject({
        perUser: count(
          'failures of one claimed user from one address before refusals are delayed',
        ).default(10),
        perAddress: count('failures of one address before refusals are delayed').default(50),
        banAfter: count('failures of one address before it is banned').default(200),
        window: duration('how long failures are counted, from the first one').default(600_000),
        maxDelay: duration('the longest delay. It begins with 100ms and doubles').default(2_000),
        ban: duration('how long the first ban lasts. Each later one is twice as long').default(
          60_000,
        ),
        maxBan: duration('the longest ban').default(3_600_000),
      })
      .describe(
        'Credentials that are rejected (401). Only refusals are delayed, and only refusals are ' +
          'replaced during a ban (429): a valid credential is accepted from every address. Expired ' +
          'credentials do not count.',
      )
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
