/**
 * Readiness of the way to the API server: that it answers, that it turns strangers away, and that
 * it takes the identity that Gatehouse asserts. All by SelfSubjectReview, which shows who the API
 * server believes is asking; none of them runs as Gatehouse itself.
 */
import { request as httpsRequest } from 'node:https'

import type { UserInfo } from '../authentication/authenticator.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { tlsOptions } from '../cluster/tls-options.ts'
import { upstreamReason } from './errors.ts'
import { identityHeaders, type IdentityNames } from './identity.ts'

/** What each check found wrong; undefined: it passed. */
export interface UpstreamChecks {
  readonly reachable: string | undefined
  readonly rejectsAnonymous: string | undefined
  readonly assertsIdentity: string | undefined
}

export interface UpstreamCheckOptions {
  readonly credential: UpstreamCredential
  readonly identity: IdentityNames
  /** The operator knows that anonymous requests are let in (managed clusters often do). */
  readonly tolerateAnonymousAuth: boolean
  readonly timeoutMs: number
}

/** The user that readiness asks as; it needs no right but that of every user, to review itself. */
const PROBE_USER: UserInfo = { username: 'gatehouse:readyz', uid: '', groups: [], extra: {} }

const REVIEW_PATH = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const REVIEW = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' })
const MAX_BODY = 65_536

/** What is wrong is told once, by the check of reachability. */
const NOT_KNOWN = 'not known while the API server is not reachable'

interface Answer {
  readonly status: number
  readonly body: string
}

/** Runs all three; never throws. */
export async function checkUpstream(options: UpstreamCheckOptions): Promise<UpstreamChecks> {
  const [anonymous, probe] = await Promise.all([
    settle(review(options, { withCredential: false })),
    settle(review(options, { withCredential: true })),
  ])
  return {
    reachable:
      probe instanceof Error
        ? `the API server cannot be reached: ${upstreamReason(probe)}`
        : undefined,
    rejectsAnonymous: options.tolerateAnonymousAuth
      ? undefined
      : anonymousProblem(anonymous, probe),
    assertsIdentity: identityProblem(probe, options.identity),
  }
}

function anonymousProblem(answer: Answer | Error, probe: Answer | Error): string | undefined {
  if (answer instanceof Error) {
    return probe instanceof Error ? NOT_KNOWN : `not known: ${upstreamReason(answer)}`
  }
  if (answer.status === 401) return undefined
  return (
    `the API server let a request without any credential in (status ${answer.status}): start it with ` +
    '--anonymous-auth=false, or set upstream.tolerateAnonymousAuth: true if you accept that'
  )
}

function identityProblem(answer: Answer | Error, identity: IdentityNames): string | undefined {
  if (answer instanceof Error) return NOT_KNOWN
  if (answer.status === 401) return "the API server does not accept Gatehouse's own credential"
  if (answer.status !== 201) {
    return `the API server refused the asserted identity (status ${answer.status}): ${statusMessage(answer.body)}`
  }
  const username = reviewedUser(answer.body)
  if (username === PROBE_USER.username) return undefined
  return `the API server ignored the asserted identity (${identity.mode}): it saw ${JSON.stringify(username)}`
}

function review(
  { credential, identity, timeoutMs }: UpstreamCheckOptions,
  { withCredential }: { readonly withCredential: boolean },
): Promise<Answer> {
  const { endpoint, token } = credential
  const headers = [
    'host',
    endpoint.host,
    'content-type',
    'application/json',
    'content-length',
    String(REVIEW.length),
    ...(withCredential ? identityHeaders(PROBE_USER, identity) : []),
    ...(withCredential && token !== undefined ? ['authorization', `Bearer ${token}`] : []),
  ]
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      agent: false,
      host: endpoint.hostname,
      port: endpoint.port,
      ...tlsOptions(endpoint.tls, { withCredential }),
      method: 'POST',
      path: REVIEW_PATH,
      headers: headers as unknown as Record<string, string>,
      setHost: false,
      signal: AbortSignal.timeout(timeoutMs),
    })
    request.on('error', reject)
    request.on('response', (message) => {
      let body = ''
      message.setEncoding('utf8')
      message.on('data', (chunk: string) => {
        body += chunk
        if (body.length > MAX_BODY) message.destroy(new Error('the answer is too large'))
      })
      message.on('error', reject)
      message.on('end', () => resolve({ status: message.statusCode ?? 0, body }))
    })
    request.end(REVIEW)
  })
}

async function settle(answer: Promise<Answer>): Promise<Answer | Error> {
  try {
    return await answer
  } catch (error) {
    return error as Error
  }
}

function reviewedUser(body: string): string {
  const review = parse(body) as { status?: { userInfo?: { username?: unknown } } } | undefined
  const username = review?.status?.userInfo?.username
  return typeof username === 'string' ? username : ''
}

function statusMessage(body: string): string {
  const status = parse(body) as { message?: unknown } | undefined
  return typeof status?.message === 'string' ? status.message.slice(0, 500) : 'no reason given'
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown
  } catch {
    return undefined
  }
}
