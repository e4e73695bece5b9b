import { setImmediate as turn } from 'node:timers/promises'

import { describe, expect, test } from 'vitest'

import type { Authentication } from '../../src/authentication/authenticator.ts'
import type { Attributes, Decision } from '../../src/authorization/authorizer.ts'
import type { Impersonator } from '../../src/impersonation/impersonator.ts'
import type { Lock } from '../../src/locks/lock.ts'
import { createLocks } from '../../src/locks/locks.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createFrame } from '../../src/pipeline/frame.ts'
import { createHandlerChain } from '../../src/pipeline/handler-chain.ts'
import { createLiveRequests } from '../../src/pipeline/live-requests.ts'
import { StatusError } from '../../src/status.ts'
import type { ForwardOptions } from '../../src/upstream/forward-options.ts'
import type { ForwardOutcome } from '../../src/upstream/outcome.ts'
import { ada, memoryLog } from '../audit/fixtures.ts'
import { fakeAuditor, fakeExchange, type FakeExchange } from './fixtures.ts'

const ALLOW: Decision = { decision: 'allow', rule: 'all', reason: '', shadow: [] }
const DENY: Decision = { decision: 'deny', rule: 'no', reason: 'not you', shadow: [] }

interface Replaced {
  readonly authenticate?: () => Authentication | undefined | Promise<Authentication | undefined>
  readonly authorize?: (attributes: Attributes) => Decision | Promise<Decision>
  readonly admitUser?: () => void | Promise<void>
  readonly impersonate?: Impersonator
  readonly recorded?: Promise<boolean>
  readonly forward?: (options: ForwardOptions) => Promise<ForwardOutcome>
}

/** The whole pipeline with stages that note their order; any of them can be replaced. */
function setup(replaced: Replaced = {}) {
  const steps: string[] = []
  const audit = fakeAuditor(steps, replaced.recorded)
  const metrics = createMetrics({ processMetrics: false })
  const live = createLiveRequests({ onCutFailed: () => undefined })
  const held = { slots: 0 }
  const locks = createLocks({
    onChanged: () =>
      live.endWhere(({ authentication, connection, attributes }) =>
        locks.refusalOf(
          authentication,
          connection,
          attributes?.impersonator === undefined ? undefined : attributes.user,
        ),
      ),
  })
  const cluster = {
    name: 'test',
    authorize: (attributes: Attributes) => {
      steps.push('authorize')
      return replaced.authorize?.(attributes) ?? ALLOW
    },
    impersonate: replaced.impersonate,
    upstream: {
      forward(options: ForwardOptions) {
        steps.push('forward')
        return replaced.forward?.(options) ?? answer200(options)
      },
      updateCredential: () => undefined,
      close: () => Promise.resolve(),
      destroy: () => Promise.resolve(),
    },
  }
  const stages = {
    auditor: audit.auditor,
    limiter: {
      admitAddress: () => void steps.push('admit address'),
      admitSignIn: () => undefined,
      admitUser() {
        steps.push('admit user')
        const waits = replaced.admitUser?.()
        held.slots += 1
        const slot = { state: undefined, release: () => void (held.slots -= 1) }
        return waits === undefined ? slot : waits.then(() => slot)
      },
    },
    authenticate() {
      steps.push('authenticate')
      return replaced.authenticate === undefined ? ada : replaced.authenticate()
    },
    locks,
    clusterOf: () => cluster,
  }
  const frame = createFrame({ stages, responseHeaders: [] }, { log: memoryLog().log, metrics })
  const { ownHeaders } = frame
  const handler = createHandlerChain(
    {
      stages,
      live,
      ownHeaders,
      originPolicy: { allowedOrigins: new Set(), isServingName: () => false },
    },
    { metrics },
  )
  const inFlight = () => metrics.requestsInFlight.take().reduce((sum, { count }) => sum + count, 0)
  return {
    ...{ steps, audit, live, cluster, held, inFlight, locks },
    serve: (exchange: FakeExchange = fakeExchange()) => frame.serve(exchange, handler),
  }
}

async function answer200({ exchange, record }: ForwardOptions): Promise<ForwardOutcome> {
  exchange.response.writeHead(200, [])
  record.identityAsserted('impersonation')
  record.responseStarted(200)
  exchange.response.end('{}')
  return { code: 200 }
}

/** Forwards until it is cut. */
const untilCut = ({ onCut, exchange }: ForwardOptions): Promise<ForwardOutcome> => {
  exchange.response.writeHead(200, [])
  return new Promise((resolve) =>
    onCut?.((reason) => resolve({ code: reason.code, abortedBy: 'gatehouse' })),
  )
}

test('the stages run in this order', async () => {
  const { steps, serve } = setup()
  await serve()
  expect(steps).toEqual([
    'admit address',
    'admitted',
    'resolved',
    'authenticate',
    'authenticated',
    'admit user',
    'admitted',
    'authorize',
    'decided',
    'forward',
    'identity asserted',
    'response started',
  ])
})

const LONG_LIST = `/api/v1/pods?labelSelector=${'a%3Db,'.repeat(2_000)}a%3Db`

test('a long query is parsed only once the user is known and its limit charged', async () => {
  const { steps, serve, held } = setup()
  await serve(fakeExchange({ rawTarget: LONG_LIST }))
  expect(steps.slice(2, 7)).toEqual([
    'resolved',
    'authenticate',
    'authenticated',
    'admit user',
    'resolved',
  ])
  expect(held.slots).toBe(0)
})

test('a long query of a user beyond the limit is not parsed', async () => {
  const { steps, serve } = setup({
    admitUser() {
      throw new StatusError('TooManyRequests', 'too many')
    },
  })
  await serve(fakeExchange({ rawTarget: LONG_LIST }))
  expect(steps.filter((step) => step === 'resolved')).toHaveLength(1)
})

test('a watch with a long query counts as a list before it is parsed, and as a stream afterwards', async () => {
  const { steps, serve, held } = setup()
  await serve(fakeExchange({ rawTarget: `${LONG_LIST}&watch=true` }))
  expect(steps.filter((step) => step === 'admit user')).toHaveLength(2)
  expect(held.slots).toBe(0)
})

test('a selector that is too long to parse is refused, and holds no slot', async () => {
  const { serve, held } = setup()
  const exchange = fakeExchange({ rawTarget: `/api/v1/pods?labelSelector=${'a,'.repeat(5_001)}a` })
  await serve(exchange)
  expect(exchange.written.status).toBe(400)
  expect(held.slots).toBe(0)
})

describe('every way out is recorded exactly once, and holds nothing', () => {
  const unauthorized = new StatusError('Unauthorized', 'Unauthorized')
  const cases: readonly {
    name: string
    replaced: Replaced
    request?: Parameters<typeof fakeExchange>[0]
    code: number
    last: string
  }[] = [
    { name: 'a request that is served', replaced: {}, code: 200, last: 'response started' },
    {
      name: 'a target with two readings',
      replaced: {},
      request: { rawTarget: '/api/v1//pods' },
      code: 400,
      last: 'admitted',
    },
    {
      name: 'an expectation that is not supported',
      replaced: {},
      request: { rawHeaders: ['Host', 'x', 'Expect', 'magic'] },
      code: 417,
      last: 'resolved',
    },
    {
      name: 'no credential',
      replaced: { authenticate: () => undefined },
      code: 401,
      last: 'authenticate',
    },
    {
      name: 'a credential that is rejected',
      replaced: {
        authenticate: () => {
          throw unauthorized
        },
      },
      code: 401,
      last: 'authenticate',
    },
    {
      name: 'a credential that is rejected later',
      replaced: { authenticate: () => Promise.reject(unauthorized) },
      code: 401,
      last: 'authenticate',
    },
    {
      name: 'impersonation',
      replaced: {},
      request: { rawHeaders: ['Host', 'x', 'Impersonate-User', 'grace'] },
      code: 403,
      last: 'admitted',
    },
    {
      name: 'a user beyond the limit',
      replaced: {
        admitUser: () => {
          throw new StatusError('TooManyRequests', 'too many')
        },
      },
      code: 429,
      last: 'admit user',
    },
    {
      name: 'a request that the rules forbid',
      replaced: { authorize: () => DENY },
      code: 403,
      last: 'decided',
    },
    {
      name: 'a request that an authorizer forbids later',
      replaced: { authorize: () => Promise.resolve(DENY) },
      code: 403,
      last: 'decided',
    },
    {
      name: 'an authorizer that fails',
      replaced: { authorize: () => Promise.reject(new Error('broken')) },
      code: 500,
      last: 'authorize',
    },
    {
      name: 'an API server that cannot be reached',
      replaced: {
        forward: () => Promise.reject(new StatusError('ServiceUnavailable', 'unreachable')),
      },
      code: 503,
      last: 'forward',
    },
    {
      name: 'a client that leaves',
      replaced: { forward: () => Promise.resolve({ code: 499, abortedBy: 'client' }) },
      code: 499,
      last: 'forward',
    },
  ]

  test.for(cases)('$name: $code', async ({ replaced, request, code, last }) => {
    const { steps, audit, serve, held, live, inFlight } = setup(replaced)
    const exchange = fakeExchange(request)
    await serve(exchange)
    expect(audit.closed.map((outcome) => outcome.code)).toEqual([code])
    expect(steps.at(-1)).toBe(last)
    expect({ slots: held.slots, live: live.size, inFlight: inFlight() }).toEqual({
      ...{ slots: 0, live: 0, inFlight: 0 },
    })
  })
})

describe('a request under way', () => {
  test('is ended by new rules, and the record says by which', async () => {
    const { audit, live, cluster, serve } = setup({ forward: untilCut })
    const served = serve()
    await expect.poll(() => live.size).toBe(1)
    cluster.authorize = () => DENY
    expect(live.recheckAuthorization()).toBe(1)
    await served
    expect(audit.closed).toMatchObject([
      {
        abortedBy: 'gatehouse',
        cause: 'no longer allowed under the new rules (decided by the rule "no")',
      },
    ])
    expect(live.size).toBe(0)
  })

  test.for([
    { name: 'new rules', code: 403, recheck: 'recheckAuthorization', decisions: [DENY] },
    { name: 'a sign-in that is withdrawn', code: 401, recheck: 'recheckSignIn', decisions: [] },
  ] as const)('is refused by $name while its authorizer takes time', async (one) => {
    const { code, recheck, decisions } = one
    const earlier = Promise.withResolvers<Decision>()
    const { audit, live, cluster, steps, serve } = setup({ authorize: () => earlier.promise })
    const served = serve()
    await expect.poll(() => steps).toContain('authorize')
    cluster.authorize = () => DENY
    expect(live[recheck](() => 'its CA is gone')).toBe(1)
    earlier.resolve(ALLOW)
    await served
    expect(audit.closed).toMatchObject([{ code }])
    // The earlier decision did not count.
    expect(audit.decisions).toEqual(decisions)
    expect(steps).not.toContain('forward')
    expect(live.size).toBe(0)
  })

  test('is refused by its late authorizer, and not by what ended it before', async () => {
    const late = Promise.withResolvers<Decision>()
    const { audit, live, steps, serve } = setup({ authorize: () => late.promise })
    const served = serve()
    await expect.poll(() => steps).toContain('authorize')
    expect(live.recheckSignIn(() => 'its CA is gone')).toBe(1)
    late.resolve(DENY)
    await served
    expect(audit.closed).toMatchObject([{ code: 403 }])
    expect(audit.decisions).toEqual([DENY])
  })

  test('is not forwarded without the event that it needs', async () => {
    const { audit, steps, serve, held } = setup({ recorded: Promise.resolve(false) })
    await serve()
    expect(audit.closed).toMatchObject([
      { code: 503, message: expect.stringContaining('audit log cannot be written') as string },
    ])
    expect(steps).not.toContain('forward')
    expect(held.slots).toBe(0)
  })

  test('is refused by new rules while its event is being written', async () => {
    const writing = Promise.withResolvers<boolean>()
    const { audit, live, cluster, steps, serve } = setup({ recorded: writing.promise })
    const served = serve()
    await expect.poll(() => steps).toContain('decided')
    cluster.authorize = () => DENY
    expect(live.recheckAuthorization()).toBe(1)
    writing.resolve(true)
    await served
    expect(audit.closed).toMatchObject([{ code: 403 }])
    expect(audit.decisions).toEqual([ALLOW, DENY])
    expect(steps).not.toContain('forward')
  })

  test('is refused by new rules before its forwarding can be ended', async () => {
    const connecting = Promise.withResolvers<undefined>()
    const { audit, live, cluster, steps, serve } = setup({
      forward: (options) => connecting.promise.then(() => untilCut(options)),
    })
    const served = serve()
    await expect.poll(() => steps).toContain('forward')
    cluster.authorize = () => DENY
    expect(live.recheckAuthorization()).toBe(1)
    connecting.resolve(undefined)
    await served
    expect(audit.closed).toMatchObject([{ code: 403, abortedBy: 'gatehouse' }])
  })

  test('is judged again with every attribute that it was admitted with', async () => {
    const seen: Attributes[] = []
    const { live, cluster, serve } = setup({
      forward: untilCut,
      authorize: (attributes) => {
        seen.push(attributes)
        return ALLOW
      },
    })
    void serve()
    await expect.poll(() => live.size).toBe(1)
    cluster.authorize = (attributes) => {
      seen.push(attributes)
      return ALLOW
    }
    expect(live.recheckAuthorization()).toBe(0)
    const [first, again] = seen
    expect(again).toMatchObject({ ...first })
    live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  })
})

describe('a locked user', () => {
  const LOCK: Lock = {
    ...{ target: 'user', name: ada.user.username, reason: 'Laptop stolen.' },
    ...{ until: undefined, actor: undefined },
  }
  const REFUSED = {
    code: 403,
    message: `user ${JSON.stringify(ada.user.username)} is locked: Laptop stolen.`,
    lock: `user ${JSON.stringify(ada.user.username)}`,
  }

  test('is refused before any limit and any rule, and the event names the lock', async () => {
    const { audit, locks, live, steps, serve } = setup()
    locks.replace('file', [LOCK])
    await serve()
    expect(steps.slice(2)).toEqual(['resolved', 'authenticate', 'authenticated'])
    expect(audit.closed).toMatchObject([REFUSED])
    expect(live.size).toBe(0)
  })

  // The stages that can wait; a lock that is set meanwhile must not be missed.
  test.for(['authenticate', 'admitUser', 'impersonate', 'authorize', 'recorded'] as const)(
    'is refused by a lock that is set while %s waits',
    async (stage) => {
      const waits = Promise.withResolvers<undefined>()
      const impersonated = { username: 'eve', uid: '', groups: [], extra: {} }
      const replaced: Record<typeof stage, Replaced> = {
        authenticate: { authenticate: () => waits.promise.then(() => ada) },
        admitUser: { admitUser: () => waits.promise },
        impersonate: {
          impersonate: () => waits.promise.then(() => ({ user: impersonated, constraint: '' })),
        },
        authorize: { authorize: () => waits.promise.then(() => ALLOW) },
        recorded: { recorded: waits.promise.then(() => true) },
      }
      const { audit, held, locks, live, steps, serve } = setup(replaced[stage])
      const served = serve(
        fakeExchange(stage === 'impersonate' ? { rawHeaders: ['Impersonate-User', 'eve'] } : {}),
      )
      await turn()
      expect(audit.closed).toEqual([])
      locks.replace('store', [LOCK])
      waits.resolve(undefined)
      await served
      expect(audit.closed).toMatchObject([REFUSED])
      expect(steps).not.toContain('forward')
      expect([held.slots, live.size]).toEqual([0, 0])
    },
  )

  test('loses what is running, and the event names the lock', async () => {
    const { audit, locks, steps, serve } = setup({ forward: untilCut })
    const served = serve()
    await expect.poll(() => steps).toContain('forward')
    locks.replace('store', [LOCK])
    await served
    const { code, message: cause, lock } = REFUSED
    expect(audit.closed).toMatchObject([{ code, cause, lock, abortedBy: 'gatehouse' }])
  })

  test('keeps what is running when another user is locked, or the lock has ended', async () => {
    const { locks, live, steps, serve } = setup({ forward: untilCut })
    void serve()
    await expect.poll(() => steps).toContain('forward')
    locks.replace('store', [
      { ...LOCK, name: 'grace' },
      { ...LOCK, until: Date.now() - 1 },
    ])
    expect(live.size).toBe(1)
    live.cutAll(new StatusError('ServiceUnavailable', 'shutting down'))
  })

  test('is nobody whom others can act as, even if locked while the cluster is asked', async () => {
    const asked = Promise.withResolvers<undefined>()
    const user = { username: 'eve', uid: '', groups: ['g'], extra: {} }
    const { audit, locks, steps, serve } = setup({
      impersonate: () => asked.promise.then(() => ({ user, constraint: '' })),
    })
    const served = serve(fakeExchange({ rawHeaders: ['Impersonate-User', 'eve'] }))
    await turn()
    locks.replace('store', [{ ...LOCK, target: 'group', name: 'g' }])
    asked.resolve(undefined)
    await served
    expect(audit.closed).toMatchObject([{ code: 403, lock: 'group "g"' }])
    expect(steps).not.toContain('forward')
  })

  test('loses what others are running as the user', async () => {
    const user = { username: 'eve', uid: '', groups: [], extra: {} }
    const { audit, locks, steps, serve } = setup({
      impersonate: () => Promise.resolve({ user, constraint: '' }),
      forward: untilCut,
    })
    const served = serve(fakeExchange({ rawHeaders: ['Impersonate-User', 'eve'] }))
    await expect.poll(() => steps).toContain('forward')
    locks.replace('store', [{ ...LOCK, name: 'eve' }])
    await served
    expect(audit.closed).toMatchObject([{ code: 403, lock: 'user "eve"' }])
  })
})

describe('a request that is made as another user', () => {
  const target = { username: 'eve', uid: '', groups: ['system:authenticated'], extra: {} }
  const asEve = { rawHeaders: ['Impersonate-User', 'eve', 'Impersonate-Group', 'a'] }
  const impersonate: Impersonator = () => Promise.resolve({ user: target, constraint: '' })

  test('is judged for the caller, for each part of the user, and then for the user', async () => {
    const asked: Attributes[] = []
    let forwarded: Attributes | undefined
    const { steps, serve } = setup({
      impersonate,
      authorize(attributes) {
        asked.push(attributes)
        return ALLOW
      },
      forward(options) {
        forwarded = options.authorized
        return answer200(options)
      },
    })
    await serve(fakeExchange(asEve))
    const caller = ada.user
    expect(asked).toMatchObject([
      { user: caller, info: { verb: 'impersonate', resource: 'users', name: 'eve' } },
      { user: caller, info: { verb: 'impersonate', resource: 'groups', name: 'a' } },
      { user: target, impersonator: caller, info: { verb: 'list', resource: 'pods' } },
    ])
    expect(asked[0]).not.toHaveProperty('impersonator')
    expect(forwarded).toMatchObject({ user: target, impersonator: caller })
    expect(steps.slice(5)).toEqual([
      ...['admit user', 'admitted', 'authorize', 'authorize', 'impersonated', 'authorize'],
      ...['decided', 'forward', 'identity asserted', 'response started'],
    ])
  })

  test('is refused if a rule denies a part of the user, without asking the API server', async () => {
    let wasAsked = false
    const { audit, steps, serve } = setup({
      impersonate(impersonation) {
        wasAsked = true
        return impersonate(impersonation)
      },
      authorize: ({ info }) => (info.resource === 'groups' ? DENY : ALLOW),
    })
    await serve(fakeExchange(asEve))
    expect(audit.closed).toMatchObject([
      {
        code: 403,
        message:
          'groups "a" is forbidden: User "oidc:ada" cannot impersonate resource "groups" in API group "" at the cluster scope: not you',
      },
    ])
    expect(steps).not.toContain('forward')
    expect(wasAsked).toBe(false)
  })

  test('is refused if the cluster does not allow impersonation, whatever the header is', async () => {
    for (const name of [
      'Impersonate-User',
      'impersonate-uid',
      'Impersonate-Foo',
      'IMPERSONATE_user',
    ]) {
      const { audit, steps, serve } = setup()
      await serve(fakeExchange({ rawHeaders: [name, 'x'] }))
      expect(audit.closed).toMatchObject([{ code: 403 }])
      expect(steps).not.toContain('authorize')
    }
  })

  test('is refused without a credential before anybody is asked', async () => {
    const { audit, steps, serve } = setup({ impersonate, authenticate: () => undefined })
    await serve(fakeExchange(asEve))
    expect(audit.closed).toMatchObject([{ code: 401 }])
    expect(steps).not.toContain('authorize')
  })

  test('is made as the caller if the user is empty', async () => {
    let forwarded: Attributes | undefined
    const { steps, serve } = setup({
      impersonate: () => Promise.reject(new Error('asked')),
      forward(options) {
        forwarded = options.authorized
        return answer200(options)
      },
    })
    await serve(fakeExchange({ rawHeaders: ['Impersonate-User', ''] }))
    expect(steps).not.toContain('impersonated')
    expect(forwarded?.user).toBe(ada.user)
    expect(forwarded).not.toHaveProperty('impersonator')
  })

  test.for([
    { name: 'new rules', code: 403, recheck: 'recheckAuthorization' as const },
    { name: 'a sign-in that is withdrawn', code: 401, recheck: 'recheckSignIn' as const },
  ])('is refused by $name while the API server is asked', async ({ code, recheck }) => {
    const asking = Promise.withResolvers<undefined>()
    const { audit, live, cluster, steps, serve } = setup({
      impersonate: () => asking.promise.then(() => ({ user: target, constraint: '' })),
    })
    const served = serve(fakeExchange(asEve))
    await expect.poll(() => steps.filter((step) => step === 'authorize')).toHaveLength(2)
    const allow = cluster.authorize
    cluster.authorize = ({ info }) => (info.verb === 'impersonate' ? DENY : ALLOW)
    expect(live[recheck](() => 'its CA is gone')).toBe(1)
    cluster.authorize = allow
    asking.resolve(undefined)
    await served
    expect(audit.closed).toMatchObject([{ code }])
    expect(steps).not.toContain('forward')
    expect(live.size).toBe(0)
  })

  test('is ended once by rules that no longer allow the impersonation', async () => {
    const { live, cluster, steps, serve } = setup({
      impersonate,
      forward: ({ onCut, exchange }) => {
        exchange.response.writeHead(200, [])
        return new Promise((resolve) =>
          onCut?.((reason) => {
            resolve({ code: reason.code, abortedBy: 'gatehouse' })
          }),
        )
      },
    })
    const served = serve(fakeExchange(asEve))
    await expect.poll(() => steps).toContain('forward')
    cluster.authorize = ({ info }) => (info.verb === 'impersonate' ? DENY : ALLOW)
    expect(live.recheckAuthorization()).toBe(1)
    await served
  })
})
