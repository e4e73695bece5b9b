/** `state` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, inputFile } from '../fields.ts'

const CREDENTIAL = { reload: 'redis credential' }
/** A host name, an IPv4 address or an IPv6 address in brackets, and a port. */
const HOST_PORT = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/

const redis = z
  .strictObject({
    mode: choice('how Redis runs', ['standalone', 'sentinel', 'cluster']).default('standalone'),
    addresses: z
      .array(
        z
          .string()
          .refine(isHostPort, 'is not HOST:PORT')
          .describe('an address; must be HOST:PORT, with an IPv6 address in brackets'),
      )
      .min(1, 'has no address')
      .meta({
        description:
          'Redis itself, its sentinels (`mode: sentinel`), or some nodes of the cluster; must be a ' +
          'list of HOST:PORT',
        examples: [['redis.gatehouse.svc:6379']],
      }),
    sentinelName: z
      .string()
      .min(1, 'is empty')
      .default('mymaster')
      .describe('name by which the sentinels know the primary; must be a name'),
    username: z
      .string()
      .min(1, 'is empty')
      .optional()
      .describe('ACL user. If unset, the user `default`; must be a name'),
    passwordFile: inputFile('the password of the user', CREDENTIAL).optional(),
    caFile: inputFile(
      'CAs that the certificate of Redis is verified against, in PEM. If unset, connections to Redis ' +
        'have no TLS',
      CREDENTIAL,
    ).optional(),
    secretFile: inputFile(
      'a secret of at least 32 random bytes, the same for all replicas, on each line. Names of users ' +
        'and addresses are in Redis only as digests that are keyed with the first secret. Further ' +
        'lines are previous secrets',
      CREDENTIAL,
    ),
    keyPrefix: z
      .string()
      .regex(/^[\w.:-]{0,64}$/, 'has other characters than letters, digits, ".", ":", "_" and "-"')
      .default('gatehouse:')
      .describe(
        'prefix of every key, for a Redis that others use as well; must be a text of at most ' +
          '64 letters, digits, ".", ":", "_" and "-"',
      ),
    timeout: duration('how long a request may wait for Redis').default(100),
  })
  .describe('The Redis of `type: redis`.')

export const state = z
  .strictObject({
    type: choice(
      'where state is kept. memory: in each replica, for itself. redis: in Redis, for all replicas',
      ['memory', 'redis'],
    ).default('memory'),
    redis: redis.optional(),
    onFailure: choice(
      'what happens while Redis cannot be used. local: each replica keeps to its part of the limits, ' +
        'by itself. refuse: requests are refused (503)',
      ['local', 'refuse'],
    ).default('local'),
  })
  .describe('What replicas share.')

function isHostPort(text: string): boolean {
  const port = Number(HOST_PORT.exec(text)?.[1] ?? 0)
  return port >= 1 && port <= 65_535
}
