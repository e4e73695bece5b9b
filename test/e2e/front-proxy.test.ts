/**
 * Users whom a front proxy names, asked of Gatehouse and of kube-apiserver directly, with the same
 * certificate and the same headers: both must see the same user.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { json } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { readKeyPair } from '../../certs-dev/files.ts'
import { loadAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'

const REVIEWS = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const REVIEW = JSON.stringify({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'SelfSubjectReview',
})

type Fields = readonly (readonly [name: string, value: string])[]

interface Seen {
  readonly status: number
  readonly user: UserInfo | undefined
}

describe.skipIf(!inject('hasParts'))('a user whom a front proxy names', () => {
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let authority: Authority
  let proxy: KeyPair
  const agents: Agent[] = []

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: newNamespace(), pod: false })
    const { frontProxyCA, frontProxyNames, url, caFile } = cluster.controlPlane
    authority = await loadAuthority(await readKeyPair(frontProxyCA))
    proxy = await authority.issue({ commonName: frontProxyNames[1]!, usages: ['client'] })
    // By requestheader, Gatehouse needs no right for each extra.
    const client = await authority.issue({ commonName: frontProxyNames[0]!, usages: ['client'] })
    gatehouse = await startTestGatehouse({
      upstream: { url, ca: await readFile(caFile, 'utf8'), client },
      configuration: {
        upstream: { identity: { mode: 'requestheader' } },
        authentication: {
          x509: {
            frontProxy: {
              caFile: frontProxyCA.certFile,
              trustedNetworks: ['127.0.0.1'],
              allowedNames: frontProxyNames,
            },
          },
        },
      },
    })
  })

  afterAll(async () => {
    for (const agent of agents) agent.destroy()
    await gatehouse.close()
    await cluster.stop()
  })

  function clientOf(url: string, ca: string, pair: KeyPair) {
    const agent = new Agent({
      ...{ ca, cert: pair.certificatePem, key: pair.keyPem },
      ...{ keepAlive: true, maxSockets: 1 },
    })
    agents.push(agent)
    return async (fields: Fields): Promise<Seen> => {
      const { host } = new URL(url)
      const length = String(REVIEW.length)
      const sent = request(url + REVIEWS, {
        agent,
        method: 'POST',
        // An array is sent as it is, repeated names included.
        headers: [
          'Host',
          host,
          'Content-Type',
          'application/json',
          'Content-Length',
          length,
        ].concat(fields.flat()),
      })
      // With a text for a body, Node would write the header fields in UTF-8.
      sent.end(Buffer.from(REVIEW))
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      const body = (await json(response)) as { status: { userInfo?: UserInfo } }
      return { status: response.statusCode ?? 0, user: sorted(body.status.userInfo) }
    }
  }

  /** What both see: Gatehouse first. */
  async function both(fields: Fields, pair = proxy): Promise<readonly [Seen, Seen]> {
    const { url, caFile } = cluster.controlPlane
    const own = clientOf(gatehouse.url, gatehouse.ca, pair)
    const direct = clientOf(url, await readFile(caFile, 'utf8'), pair)
    return Promise.all([own(fields), direct(fields)])
  }

  test('is the same user as at kube-apiserver, over hundreds of combinations', async () => {
    const { url, caFile } = cluster.controlPlane
    const own = clientOf(gatehouse.url, gatehouse.ca, proxy)
    const direct = clientOf(url, await readFile(caFile, 'utf8'), proxy)
    const utf8 = (text: string): string => Buffer.from(text).toString('latin1')
    const users: Fields[] = [
      ...['ada', 'Ada Lovelace', 'a,b', utf8('grün'), 'spiffe://a/b', '%61'].map((name) => [
        ['X-Remote-User', name] as const,
      ]),
      [['x-remote-USER', 'ada']],
      [['X-Remote-User', '']],
      [],
    ]
    const groups: Fields[] = [
      [],
      [['X-Remote-Group', 'dev']],
      [
        ['X-Remote-Group', 'a, b'],
        ['x-remote-group', ''],
        ['X-Remote-Group', 'c'],
      ],
      [
        ['X-Remote-Group', 'system:authenticated'],
        ['X-Remote-Groups', 'no'],
      ],
    ]
    const others: Fields[] = [
      [],
      [['X-Remote-Uid', '7']],
      [
        ['X-Remote-Uid', ''],
        ['X-Remote-Extra-Team', 'x'],
        ['X-Remote-Extra-TEAM', 'y'],
      ],
      [
        ['X-Remote-Extra-Example.com%2FScope', 'read, write'],
        ['X-Remote-Extra-a%20b', utf8('ü')],
      ],
      [
        ['X-Remote-Extra-%zz', 'x'],
        ['X-Remote-Extra-a%', 'y'],
        ['X-Remote-Extra-a%41', 'z'],
      ],
      [
        ['X-Remote-Extra', 'x'],
        ['X-Remote_Extra-a', 'x'],
        ['X-Remote-Extra-a_b.c', 'x'],
      ],
    ]
    const cases = users.flatMap((user) =>
      groups.flatMap((group) => others.map((other) => [...user, ...group, ...other])),
    )
    expect(cases.length).toBeGreaterThan(200)
    const differences: unknown[] = []
    for (const fields of cases) {
      const [seen, expected] = await Promise.all([own(fields), direct(fields)])
      if (JSON.stringify(seen) !== JSON.stringify(expected)) {
        differences.push({ fields, seen, expected })
      }
    }
    expect(differences).toEqual([])
  })

  test('of a certificate whose name is not allowed is nobody at both', async () => {
    const other = await authority.issue({ commonName: 'other', usages: ['client'] })
    const [seen, expected] = await both([['X-Remote-User', 'ada']], other)
    expect([seen.status, expected.status]).toEqual([401, 401])
  })

  test.for<readonly [what: string, fields: Fields, code: number, username: string]>([
    [
      'two users',
      [
        ['X-Remote-User', 'ada'],
        ['X-Remote-User', 'root'],
      ],
      401,
      'ada',
    ],
    ['a user of Kubernetes', [['X-Remote-User', 'system:admin']], 403, 'system:admin'],
    [
      'a user and a token',
      [
        ['X-Remote-User', 'ada'],
        ['Authorization', 'Bearer x'],
      ],
      401,
      'ada',
    ],
    ['a user with a blank', [['X-Remote-User', 'ad\xc2\xa0a']], 403, 'ad\u00a0a'],
    [
      'an extra without a key',
      [
        ['X-Remote-User', 'ada'],
        ['X-Remote-Extra-', 'x'],
      ],
      403,
      'ada',
    ],
  ])('is refused where kube-apiserver takes %s', async ([, fields, code, username]) => {
    const [seen, expected] = await both(fields)
    expect(seen).toEqual({ status: code, user: undefined })
    expect([expected.status, expected.user?.username]).toEqual([201, username])
  })
})

/** kube-apiserver reads extras in the order of a Go map. */
function sorted(user: UserInfo | undefined): UserInfo | undefined {
  if (user === undefined) return undefined
  const extra = Object.entries({ ...user.extra }).map(
    ([key, values]) => [key, values.toSorted()] as const,
  )
  return { ...user, extra: Object.fromEntries(extra.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
}
