import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { Authorizer } from '../../src/authorization/authorizer.ts'
import { createLiveRequests, type LiveRequest } from '../../src/pipeline/live-requests.ts'
import { StatusError } from '../../src/status.ts'

/** A stream of a user, and what it is told. */
function streamOf(username: string): LiveRequest & { readonly told: StatusError[] } {
  const told: StatusError[] = []
  const user = { username, uid: '', groups: [], extra: {} }
  return {
    attributes: {
      user,
      info: {
        isResourceRequest: false,
        path: '/x',
        verb: 'get',
      } as unknown as LiveRequest['attributes']['info'],
    },
    authentication: { user, method: 'oidc', annotations: {} },
    connection: {
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      peerCertificate: undefined,
      retire: () => undefined,
    },
    cut: (reason) => told.push(reason),
    told,
  }
}

const allowOnly =
  (allowed: string, rule = ''): Authorizer =>
  ({ user }) => ({
    decision: user.username === allowed ? 'allow' : 'deny',
    rule,
    reason: 'not you',
    shadow: [],
  })

test('new rules end what they forbid, and the record is told by which', () => {
  const streams = createLiveRequests()
  const [ada, grace] = [streamOf('ada'), streamOf('grace')]
  const [removeAda, removeGrace] = [streams.add(ada), streams.add(grace)]
  expect(streams.recheck(allowOnly('ada', 'no-grace'))).toBe(1)
  expect(ada.told).toEqual([])
  expect(grace.told).toMatchObject([{ code: 403 }])
  expect([removeAda(), removeGrace()]).toEqual([
    undefined,
    'new rules: no longer allowed, by the rule "no-grace"',
  ])
  expect(streams.size).toBe(0)
})

test('a review ends what it says something about; the client is told no more than 401', () => {
  const streams = createLiveRequests()
  const [ada, grace] = [streamOf('ada'), streamOf('grace')]
  const [removeAda, removeGrace] = [streams.add(ada), streams.add(grace)]
  const review = ({ authentication }: LiveRequest) =>
    authentication.user.username === 'grace' ? 'her CA is gone' : undefined
  expect(streams.review(review)).toBe(1)
  expect(ada.told).toEqual([])
  expect(grace.told).toMatchObject([{ code: 401, message: 'Unauthorized' }])
  expect([removeAda(), removeGrace()]).toEqual([
    undefined,
    'the sign-in is no longer accepted: her CA is gone',
  ])
})

test('what ended a stream first is the reason', () => {
  const streams = createLiveRequests()
  const remove = streams.add(streamOf('ada'))
  streams.recheck(allowOnly('nobody'))
  streams.review(() => 'its CA is gone')
  streams.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect(remove()).toBe('new rules: no longer allowed, by the default')
})

test('a shutdown ends all; what was taken out is told nothing', () => {
  const streams = createLiveRequests()
  const [ada, grace] = [streamOf('ada'), streamOf('grace')]
  streams.add(ada)()
  const remove = streams.add(grace)
  streams.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect({ ada: ada.told.length, grace: grace.told.length }).toEqual({ ada: 0, grace: 1 })
  expect(remove()).toBe('shutting down')
})

test('whatever comes and goes in whatever order, those that are in are those that are told', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (toggles) => {
      const streams = createLiveRequests()
      const all = Array.from({ length: 10 }, (_, i) => streamOf(`user-${i}`))
      const inside = new Map<number, () => string | undefined>()
      for (const i of toggles) {
        const takeOut = inside.get(i)
        if (takeOut === undefined) inside.set(i, streams.add(all[i]!))
        else {
          takeOut()
          // A second time takes nobody else out.
          takeOut()
          inside.delete(i)
        }
      }
      expect(streams.size).toBe(inside.size)
      streams.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
      expect(all.flatMap(({ told }, i) => (told.length > 0 ? [i] : []))).toEqual(
        [...inside.keys()].sort((a, b) => a - b),
      )
    }),
  )
})

test('a stream that ends another one does not make a third be left out', () => {
  const streams = createLiveRequests()
  const [a, b, c] = [streamOf('a'), streamOf('b'), streamOf('c')]
  const takeOutB = { current: (): string | undefined => undefined }
  streams.add({ ...a, cut: (reason) => void (a.cut(reason), takeOutB.current()) })
  takeOutB.current = streams.add(b)
  streams.add(c)
  streams.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect([a, b, c].map(({ told }) => told.length)).toEqual([1, 0, 1])
})
