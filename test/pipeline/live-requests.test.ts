import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Attributes, Authorizer, Decision } from '../../src/authorization/authorizer.ts'
import { createLiveRequests, type LiveRequest } from '../../src/pipeline/live-requests.ts'
import { StatusError } from '../../src/status.ts'

/** A cluster whose rules a test changes. */
interface TestCluster {
  authorize: Authorizer
}

/** A request of a user, and the reasons for which it was cut. */
function requestOf(
  username: string,
  cluster: TestCluster = { authorize: allowOnly(username) },
): LiveRequest & { readonly attributes: Attributes; readonly reasons: StatusError[] } {
  const reasons: StatusError[] = []
  const user = { username, uid: '', groups: [], extra: {} }
  return {
    cluster,
    attributes: {
      user,
      info: {
        isResourceRequest: false,
        path: '/x',
        verb: 'get',
      } as unknown as Attributes['info'],
    },
    authentication: { user, method: 'oidc', annotations: {} },
    connection: {
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      peerCertificate: undefined,
      retire: () => undefined,
    },
    cut: (reason) => reasons.push(reason),
    reasons,
  }
}

const unexpected = (error: Error): never => {
  throw error
}

const ALLOW: Decision = { decision: 'allow', rule: '', reason: '', shadow: [] }
const allowAll: Authorizer = () => ALLOW

const allowOnly =
  (allowed: string, rule = ''): Authorizer =>
  ({ user }) => ({
    decision: user.username === allowed ? 'allow' : 'deny',
    rule,
    reason: 'not you',
    shadow: [],
  })

test('new rules end what they forbid, and the record names the rule', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const cluster = { authorize: allowAll }
  const [ada, grace] = [requestOf('ada', cluster), requestOf('grace', cluster)]
  const [removeAda, removeGrace] = [live.add(ada), live.add(grace)]
  cluster.authorize = allowOnly('ada', 'no-grace')
  expect(live.recheckAuthorization()).toBe(1)
  expect(ada.reasons).toEqual([])
  expect(grace.reasons).toMatchObject([{ code: 403 }])
  expect([removeAda(), removeGrace()]).toEqual([
    undefined,
    'no longer allowed under the new rules (decided by the rule "no-grace")',
  ])
  expect(live.size).toBe(0)
})

test('a recheck asks with every attribute that the request was admitted with', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const cluster = { authorize: allowAll }
  const request = requestOf('ada', cluster)
  const attributes = { ...request.attributes, remoteAddress: '192.0.2.7' }
  live.add({ ...request, attributes })
  const asked: unknown[] = []
  cluster.authorize = (given) => {
    asked.push(given)
    return allowAll(given)
  }
  expect(live.recheckAuthorization()).toBe(0)
  expect(asked).toEqual([attributes])
})

test('each request is judged by the rules of its own cluster', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const [here, there] = [{ authorize: allowAll }, { authorize: allowAll }]
  const [ada, grace] = [requestOf('ada', here), requestOf('ada', there)]
  live.add(ada)
  live.add(grace)
  there.authorize = allowOnly('nobody')
  expect(live.recheckAuthorization()).toBe(1)
  expect([ada.reasons.length, grace.reasons.length]).toEqual([0, 1])
})

describe('an authorizer that answers with a promise', () => {
  test('is waited for, and its denial ends the request', async () => {
    const live = createLiveRequests({ onCutFailed: unexpected })
    const later = Promise.withResolvers<Decision>()
    const cluster: TestCluster = { authorize: allowAll }
    const [ada, grace] = [requestOf('ada', cluster), requestOf('grace', cluster)]
    live.add(ada)
    const remove = live.add(grace)
    cluster.authorize = (given) => (given.user.username === 'grace' ? later.promise : ALLOW)
    const ended = live.recheckAuthorization()
    expect(grace.reasons).toEqual([])
    later.resolve({ decision: 'deny', rule: 'late', reason: 'not you', shadow: [] })
    expect(await ended).toBe(1)
    expect([ada.reasons.length, grace.reasons.length]).toEqual([0, 1])
    expect(remove()).toBe('no longer allowed under the new rules (decided by the rule "late")')
  })

  test('and fails ends the request: nobody can say that it is still allowed', async () => {
    const live = createLiveRequests({ onCutFailed: unexpected })
    const request = requestOf('ada', { authorize: () => Promise.reject(new Error('unreachable')) })
    live.add(request)
    expect(await live.recheckAuthorization()).toBe(1)
    expect(request.reasons).toMatchObject([{ code: 403 }])
  })

  test('and throws ends the request as well', () => {
    const live = createLiveRequests({ onCutFailed: unexpected })
    const request = requestOf('ada', { authorize: () => expect.fail('broken') })
    live.add(request)
    expect(live.recheckAuthorization()).toBe(1)
    expect(request.reasons).toMatchObject([{ code: 403 }])
  })

  test('says nothing about a request that a later recheck has judged', async () => {
    const live = createLiveRequests({ onCutFailed: unexpected })
    const old = Promise.withResolvers<Decision>()
    const cluster: TestCluster = { authorize: () => old.promise }
    const request = requestOf('ada', cluster)
    live.add(request)
    const first = live.recheckAuthorization()
    cluster.authorize = allowAll
    expect(live.recheckAuthorization()).toBe(0)
    old.resolve({ decision: 'deny', rule: '', reason: '', shadow: [] })
    expect(await first).toBe(0)
    expect(request.reasons).toEqual([])
  })

  test('says nothing about a request that has ended by itself', async () => {
    const live = createLiveRequests({ onCutFailed: unexpected })
    const later = Promise.withResolvers<Decision>()
    const request = requestOf('ada', { authorize: () => later.promise })
    const remove = live.add(request)
    const ended = live.recheckAuthorization()
    remove()
    later.resolve({ decision: 'deny', rule: '', reason: '', shadow: [] })
    expect(await ended).toBe(0)
    expect(request.reasons).toEqual([])
  })
})

test('a recheck of sign-ins ends what it names; the client reads no more than 401', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const [ada, grace] = [requestOf('ada'), requestOf('grace')]
  const [removeAda, removeGrace] = [live.add(ada), live.add(grace)]
  const recheck = ({ authentication }: LiveRequest) =>
    authentication.user.username === 'grace' ? 'her CA is gone' : undefined
  expect(live.recheckSignIn(recheck)).toBe(1)
  expect(ada.reasons).toEqual([])
  expect(grace.reasons).toMatchObject([{ code: 401, message: 'Unauthorized' }])
  expect([removeAda(), removeGrace()]).toEqual([
    undefined,
    'the credential is no longer accepted: her CA is gone',
  ])
})

test('a recheck of sign-ins that fails ends the request, and the others are still rechecked', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const [ada, grace] = [requestOf('ada'), requestOf('grace')]
  const [removeAda] = [live.add(ada), live.add(grace)]
  const recheck = ({ authentication }: LiveRequest) => {
    if (authentication.user.username === 'ada') throw new Error('broken')
    return 'her CA is gone'
  }
  expect(live.recheckSignIn(recheck)).toBe(2)
  expect(ada.reasons).toMatchObject([{ code: 401, message: 'Unauthorized' }])
  expect(grace.reasons).toMatchObject([{ code: 401, message: 'Unauthorized' }])
  expect(removeAda()).toBe('the credential is no longer accepted: the recheck failed')
})

test('what ended a request first is the reason', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const remove = live.add(requestOf('ada', { authorize: allowOnly('nobody') }))
  expect(live.recheckAuthorization()).toBe(1)
  live.recheckSignIn(() => 'its CA is gone')
  live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect(remove()).toBe('no longer allowed under the new rules (decided by the default)')
})

test('a shutdown ends all that has not been removed', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const [ada, grace] = [requestOf('ada'), requestOf('grace')]
  live.add(ada)()
  const remove = live.add(grace)
  live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect({ ada: ada.reasons.length, grace: grace.reasons.length }).toEqual({ ada: 0, grace: 1 })
  expect(remove()).toBe('shutting down')
})

test('whatever is added and removed in whatever order, exactly what is in the list is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (toggles) => {
      const live = createLiveRequests({ onCutFailed: unexpected })
      const all = Array.from({ length: 10 }, (_, i) => requestOf(`user-${i}`))
      const inside = new Map<number, () => string | undefined>()
      for (const i of toggles) {
        const takeOut = inside.get(i)
        if (takeOut === undefined) inside.set(i, live.add(all[i]!))
        else {
          takeOut()
          // A second time takes nobody else out.
          takeOut()
          inside.delete(i)
        }
      }
      expect(live.size).toBe(inside.size)
      live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
      expect(all.flatMap(({ reasons }, i) => (reasons.length > 0 ? [i] : []))).toEqual(
        [...inside.keys()].sort((a, b) => a - b),
      )
    }),
  )
})

test('a request that ends another one does not make a third be left out', () => {
  const live = createLiveRequests({ onCutFailed: unexpected })
  const [a, b, c] = [requestOf('a'), requestOf('b'), requestOf('c')]
  const takeOutB = { current: (): string | undefined => undefined }
  live.add({ ...a, cut: (reason) => void (a.cut(reason), takeOutB.current()) })
  takeOutB.current = live.add(b)
  live.add(c)
  live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  expect([a, b, c].map(({ reasons }) => reasons.length)).toEqual([1, 0, 1])
})

test('a request that cannot be ended does not keep the others from ending, and is reported', async () => {
  const failures: string[] = []
  const live = createLiveRequests({ onCutFailed: ({ message }) => failures.push(message) })
  const cluster: TestCluster = { authorize: allowAll }
  const stuck = requestOf('ada', cluster)
  const other = requestOf('grace', cluster)
  live.add({
    ...stuck,
    cut() {
      throw new Error('stuck')
    },
  })
  live.add(other)
  cluster.authorize = allowOnly('nobody')
  expect(live.recheckAuthorization()).toBe(2)
  expect(live.recheckSignIn(() => 'gone')).toBe(2)
  live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  cluster.authorize = async (attributes) => allowOnly('nobody')(attributes)
  expect(await live.recheckAuthorization()).toBe(2)
  expect(other.reasons.map(({ code }) => code)).toEqual([403, 401, 503, 403])
  expect(failures).toEqual(['stuck', 'stuck', 'stuck', 'stuck'])
})
