import { beforeEach, expect, test } from 'vitest'

import type { Attributes } from '../../src/authorization/authorizer.ts'
import type { PeerCertificate } from '../../src/http/exchange.ts'
import { createLiveRequests, type LiveRequest } from '../../src/pipeline/live-requests.ts'
import { createStreamExpiry, type StreamExpiryOptions } from '../../src/pipeline/stream-expiry.ts'

const EXPIRED = 'the credential that opened this stream has expired; sign in again'
const KEEP: StreamExpiryOptions = { onExpiry: 'keep', grace: 0 }

let time: number

beforeEach(() => {
  time = 0
})

/** A running request, and the reasons for which it was ended. */
interface Running {
  readonly verb?: string
  readonly expiresAt?: number
  readonly peerCertificate?: PeerCertificate
}

function requestOf({ verb = 'watch', expiresAt, peerCertificate }: Running) {
  const ends: string[] = []
  const user = { username: 'ada', uid: '', groups: [], extra: {} }
  const info = { isResourceRequest: true, verb, subresource: '' } as unknown as Attributes['info']
  const request: LiveRequest = {
    cluster: { authorize: () => ({ decision: 'allow', rule: '', reason: '', shadow: [] }) },
    attributes: { user, info },
    authentication: {
      ...{ user, method: 'oidc', annotations: {} },
      ...(expiresAt === undefined ? {} : { expiresAt }),
    },
    connection: {
      ...{ remoteAddress: '127.0.0.1', remotePort: 1 },
      ...{ peerCertificate, retire: () => undefined },
    },
    cut: ({ code, message }) => ends.push(`${code}: ${message}`),
  }
  return { request, ends }
}

function start(options: StreamExpiryOptions, ...requests: readonly LiveRequest[]) {
  const live = createLiveRequests({
    onCutFailed: (error) => {
      throw error
    },
  })
  for (const request of requests) live.add(request)
  const ended: number[] = []
  const expiry = createStreamExpiry(options, {
    ...{ live, now: () => time, elapsed: () => time },
    onEnded: (streams) => ended.push(streams),
  })
  expiry.close()
  return {
    ended,
    checkAt: (milliseconds: number) => {
      time = milliseconds
      expiry.check()
    },
  }
}

test('a stream ends with its credential and the grace, and not before', () => {
  const { request, ends } = requestOf({ expiresAt: 1_000 })
  const { checkAt, ended } = start({ onExpiry: 'end', grace: 500 }, request)
  checkAt(1_499)
  expect(ends).toEqual([])
  checkAt(1_500)
  expect([ends, ended]).toEqual([[`401: ${EXPIRED}`], [1]])
})

test('nothing ends by default', () => {
  const { request, ends } = requestOf({ expiresAt: 1_000 })
  start(KEEP, request).checkAt(1e12)
  expect(ends).toEqual([])
})

test('a short request, and a credential without an end, are not ended', () => {
  const requests = [requestOf({ verb: 'list', expiresAt: 1 }), requestOf({})]
  start({ onExpiry: 'end', grace: 0 }, ...requests.map(({ request }) => request)).checkAt(1e12)
  expect(requests.map(({ ends }) => ends)).toEqual([[], []])
})

test('a stream of a front proxy ends with its certificate', () => {
  const peerCertificate = { notAfter: 1_000 } as unknown as PeerCertificate
  const { request, ends } = requestOf({ peerCertificate })
  const { checkAt } = start({ onExpiry: 'end', grace: 0 }, request)
  checkAt(999)
  expect(ends).toEqual([])
  checkAt(1_000)
  expect(ends).toEqual([`401: ${EXPIRED}`])
})

test('a stream of any credential ends at the maximum age', () => {
  const { request, ends } = requestOf({})
  const { checkAt } = start({ ...KEEP, maxAge: 60_000 }, request)
  checkAt(5_000)
  checkAt(64_999)
  expect(ends).toEqual([])
  checkAt(65_000)
  expect(ends).toEqual([expect.stringMatching(/^504: the stream has reached the age/)])
})
