import { beforeEach, describe, expect, test } from 'vitest'

import type { Authentication } from '../../../src/authentication/authenticator.ts'
import type { SignIn } from '../../../src/authentication/sign-in.ts'
import { createTokenReviewSignIn } from '../../../src/authentication/token-review/token-review.ts'
import { DEFAULT_IDENTITY_LIMITS } from '../../../src/authentication/identity-guard.ts'
import { createSignInUnion } from '../../../src/authentication/union.ts'
import {
  ReviewError,
  type ReviewRequest,
  type ReviewResponse,
} from '../../../src/cluster/review-client.ts'
import type { ClientConnection } from '../../../src/http/exchange.ts'
import { StatusError } from '../../../src/status.ts'

const ISSUER = 'https://kubernetes.default.svc'
const NOW = Date.UTC(2026, 0)

let now: number
let asked: ReviewRequest[]
let reviewed: (token: string) => ReviewResponse | Promise<ReviewResponse>
let self: ReviewResponse
let failures: string[]
let dropped: number
let signIn: SignIn

const builder = {
  username: 'system:serviceaccount:team:builder',
  uid: 'u-1',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:team', 'system:authenticated'],
  extra: { 'authentication.kubernetes.io/credential-id': ['JTI=j'] },
}

const accepted = (user: object = builder, audiences: readonly string[] = ['gatehouse']) => ({
  status: 201,
  body: { status: { authenticated: true, user, audiences } },
})
const refused = { status: 201, body: { status: { authenticated: false, error: 'token expired' } } }

function token(claims: object = {}): string {
  const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const own = { iss: ISSUER, exp: NOW / 1000 + 3_600, ...claims }
  return `${part({ alg: 'RS256' })}.${part(own)}.c2lnbmF0dXJl`
}

beforeEach(() => {
  now = NOW
  asked = []
  dropped = 0
  failures = []
  reviewed = () => accepted()
  self = { status: 201, body: { status: { userInfo: { username: 'gatehouse' } } } }
  signIn = createTokenReviewSignIn(
    { issuers: [ISSUER], audiences: ['gatehouse'] },
    {
      clock: () => now,
      onRevoked: () => dropped++,
      onFailure: (problem) => failures.push(problem),
      reviewClient: {
        async post(request) {
          asked.push(request)
          if (request.kind === 'SelfSubjectReview') return self
          return reviewed((request.spec as { token: string }).token)
        },
      },
    },
  )
})

const reviews = () => asked.filter(({ kind }) => kind === 'TokenReview')

async function authenticate(text = token()): Promise<Authentication | undefined> {
  return signIn.authenticate({ kind: 'token', token: text })
}

async function refusal(action: () => Promise<unknown>): Promise<{ code: number; reason: string }> {
  try {
    await action()
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    const { cause } = error
    return {
      code: error.code,
      reason: `${error.message} ${cause instanceof Error ? cause.message : ''}`,
    }
  }
  throw new Error('not refused')
}

describe('a service account token', () => {
  test('is reviewed for the audiences, by Gatehouse itself', async () => {
    const text = token()
    expect(await authenticate(text)).toEqual({
      user: builder,
      method: 'serviceaccount',
      annotations: { 'authentication.gatehouse/issuer': ISSUER },
      expiresAt: NOW + 3_600_000,
    })
    expect(reviews()).toEqual([
      { kind: 'TokenReview', spec: { token: text, audiences: ['gatehouse'] }, as: 'gatehouse' },
    ])
  })

  test('is reviewed once for requests at the same time, and again after ten seconds', async () => {
    const [first, second] = await Promise.all([authenticate(), authenticate()])
    expect(second).toBe(first)
    now += 9_999
    expect(await authenticate()).toBe(first)
    expect(reviews()).toHaveLength(1)
    now += 1
    await authenticate()
    expect(reviews()).toHaveLength(2)
  })

  test('is reviewed again when it expires, though it was accepted a moment ago', async () => {
    const text = token({ exp: NOW / 1000 + 3 })
    await authenticate(text)
    now += 3_000
    reviewed = () => refused
    expect(await refusal(() => authenticate(text))).toMatchObject({ code: 401 })
  })

  test('is refused as the API server refuses it, with one review for several attempts', async () => {
    reviewed = () => refused
    for (let attempt = 0; attempt < 3; attempt++) {
      const { code, reason } = await refusal(authenticate)
      expect([code, reason]).toEqual([401, expect.stringContaining('token expired')])
    }
    expect(reviews()).toHaveLength(1)
  })

  test.for<[string, () => ReviewResponse, number, RegExp]>([
    [
      'for another audience',
      () => accepted(builder, ['other']),
      401,
      /does not confirm an audience/,
    ],
    ['whose audience is not confirmed', () => accepted(builder, []), 401, /does not confirm/],
    [
      'of a user',
      () => accepted({ ...builder, username: 'ada' }),
      401,
      /not one of a service account/,
    ],
    ['of a node', () => accepted({ ...builder, username: 'system:node:n' }), 401, /not one of/],
    [
      'with an odd name',
      () => accepted({ ...builder, username: 'system:serviceaccount:a:b:c' }),
      401,
      /not one/,
    ],
    ['of nobody', () => accepted({}), 401, /does not say whose/],
    ['with groups that are not a list', () => accepted({ ...builder, groups: 'x' }), 401, /whose/],
    ['in a response without a decision', () => ({ status: 201, body: {} }), 503, /did not review/],
    ['in an error', () => ({ status: 500, body: {} }), 503, /status 500/],
    [
      'that may not be reviewed',
      () => ({ status: 403, body: {} }),
      503,
      /grant create on tokenreviews/,
    ],
  ])('%s is refused', async ([, response, code, reason]) => {
    reviewed = response
    const found = await refusal(authenticate)
    expect(found.code).toBe(code)
    expect(found.reason).toMatch(reason)
  })

  test('of Gatehouse itself is refused, and any if it is not known who that is', async () => {
    self = { status: 201, body: { status: { userInfo: { username: builder.username } } } }
    expect(await refusal(authenticate)).toMatchObject({
      code: 403,
      reason: expect.stringContaining("Gatehouse's own account") as string,
    })
    self = { status: 500, body: {} }
    expect(await refusal(() => authenticate(token({ n: 2 })))).toMatchObject({ code: 503 })
  })

  test('is not accepted without a response, and asked about again by the next request', async () => {
    reviewed = () => Promise.reject(new ReviewError('timeout', 'no response within 5000 ms'))
    expect(await refusal(authenticate)).toMatchObject({
      code: 503,
      reason: expect.stringContaining('no response within 5000 ms') as string,
    })
    reviewed = () => accepted()
    expect(await authenticate()).toBeDefined()
  })

  test('waits for no more than 64 reviews at once', async () => {
    const { promise, resolve } = Promise.withResolvers<ReviewResponse>()
    reviewed = () => promise
    const waiting = Array.from({ length: 64 }, (_, n) => authenticate(token({ n })))
    expect(await refusal(() => authenticate(token({ n: 64 })))).toMatchObject({ code: 503 })
    resolve(accepted())
    expect(await Promise.all(waiting)).toHaveLength(64)
    expect(await authenticate(token({ n: 64 }))).toBeDefined()
  })

  test('that is taken back ends what it began, however often it was reviewed since', async () => {
    const first = (await authenticate())!
    now += 10_000
    expect(await authenticate()).toBe(first)
    now += 10_000
    reviewed = () => ({ status: 500, body: {} })
    await refusal(authenticate)
    expect([dropped, signIn.recheck(first, {} as ClientConnection)]).toEqual([0, undefined])
    reviewed = () => refused
    await refusal(authenticate)
    expect(dropped).toBe(1)
    expect(signIn.recheck(first, {} as ClientConnection)).toMatch(/no longer accepts/)
  })

  test('that becomes another user ends what the earlier one began', async () => {
    const first = (await authenticate())!
    now += 10_000
    reviewed = () => accepted({ ...builder, uid: 'u-2' })
    expect((await authenticate())?.user.uid).toBe('u-2')
    expect(dropped).toBe(1)
    expect(signIn.recheck(first, {} as ClientConnection)).toMatch(/no longer accepts/)
  })
})

describe('another token is left to other methods', () => {
  test.for([
    ['of another issuer', token({ iss: 'https://other.example' })],
    ['without an issuer', token({ iss: undefined })],
    ['whose issuer is a list', token({ iss: [ISSUER] })],
    ['that is not a token', 'opaque'],
    ['with four parts', `${token()}.x`],
    ['whose payload is not JSON', 'a.b.c'],
    ['that is too long', token({ pad: 'x'.repeat(200_000) })],
  ])('%s', ([, text]) => {
    expect(signIn.authenticate({ kind: 'token', token: text! })).toBeUndefined()
    expect(asked).toEqual([])
  })
})

describe('the identity guard', () => {
  const union = () =>
    createSignInUnion(
      {
        ...DEFAULT_IDENTITY_LIMITS,
        signIns: [signIn],
        systemIdentities: { users: [], groups: [] },
        unusableGroups: 'refuse',
      },
      {
        onResult: () => undefined,
        onGroupsDropped: () => undefined,
        checkCertificate: () => expect.fail(),
      },
    )
  const through = async () =>
    union()({
      connection: {} as ClientConnection,
      authorization: `Bearer ${token()}`,
      webSocketToken: undefined,
      rawHeaders: [],
    })

  test('lets the names of a service account pass', async () => {
    expect((await through())?.user).toEqual(builder)
  })

  test.for(['system:masters', 'system:serviceaccounts:kube-system', 'system:nodes'])(
    'rejects the group %s, whatever the API server says',
    async (group) => {
      reviewed = () => accepted({ ...builder, groups: [...builder.groups, group] })
      expect(await refusal(through)).toMatchObject({
        code: 403,
        reason: expect.stringContaining('is reserved for Kubernetes') as string,
      })
    },
  )
})

test('a review without a verdict is reported, and repeated only if that may help', async () => {
  const failure = async (response: { status: number; body: Readonly<Record<string, unknown>> }) => {
    reviewed = () => response
    failures = []
    return authenticate(token({ n: response.status })).catch((error: unknown) => error)
  }
  expect(await failure({ status: 500, body: {} })).toMatchObject({
    code: 503,
    headers: { 'Retry-After': '1' },
  })
  expect(failures).toEqual([expect.stringContaining('status 500')])
  expect(await failure({ status: 403, body: {} })).toMatchObject({ code: 503, headers: {} })
  expect(failures).toEqual([expect.stringContaining('may not create TokenReviews')])
  expect(await failure(refused)).toMatchObject({ code: 401 })
  expect(failures).toEqual([])
})
