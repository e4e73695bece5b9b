/**
 * The annotations of an event. Kubernetes' own keys keep their meaning; the others are:
 *
 * | key | value |
 * |---|---|
 * | `authentication.gatehouse/*` | what the authenticator reports about the identity's origin |
 * | `gatehouse/cause` | the cause that the response omits: of a rejected credential or an upstream failure |
 * | `gatehouse/lock` | the lock that refused or ended the request, or that the request has set or lifted |
 * | `gatehouse/revocation` | why the sign-in of the credential has ended, or which sign-ins the request has ended |
 * | `gatehouse/method` | how the user authenticated: `x509`, `oidc` |
 * | `gatehouse/unassertedGroups` | groups that only deny rules count: `unknown` if the token does not state them |
 * | `gatehouse/omittedIdentity` | how many groups and extras of the user the event omits, and the SHA-256 of the whole user |
 * | `gatehouse/identity` | how the user was asserted upstream: `impersonation`, `requestheader`; absent if nothing was sent |
 * | `gatehouse/issuedSerial`, `gatehouse/issuedNotAfter`, `gatehouse/issuedFor` | the certificate that was issued: serial number, when it expires, and where its user signed in |
 * | `gatehouse/rule` | the rule that decided; absent when the default decided |
 * | `gatehouse/wouldDeny`, `gatehouse/wouldAllow` | rules in `mode: shadow` that would have denied or allowed it, comma-separated |
 * | `gatehouse/abortedBy` | who aborted the exchange: `client`, `upstream`, `gatehouse` |
 * | `gatehouse/httpMethod` | the method of a request that was refused before it had a verb |
 * | `gatehouse/bytesReceived`, `gatehouse/bytesSent` | body or tunnel bytes from and to the client |
 * | `gatehouse/suppressedEvents` | how many refusals of unauthenticated clients this event stands for |
 * | `gatehouse/duration` | time from reception to the event's stage, such as `12.345ms` |
 * | `latency.gatehouse/<stage>` | time in one stage of the pipeline |
 */
import type { Decision } from '../authorization/authorizer.ts'
import { formatDuration } from './clock.ts'
import type { RecordFacts, StageFacts } from './facts.ts'
import { originMembers } from './identity.ts'
import { jsonMembers } from './json-members.ts'
import type { IssuedFacts, Outcome, PipelineStage } from './record.ts'
import { redactIdentityValue, truncate } from './redaction.ts'

const MAX_REASON_LENGTH = 1_024
const MAX_METHOD_LENGTH = 32

/** Decisions are created when rules are loaded, so their JSON is built only once, too. */
const decisions = new WeakMap<Decision, string>()

/** The annotations of an event, all of them strings, as JSON members without braces. */
export function annotationMembers(facts: RecordFacts, { duration, outcome }: StageFacts): string {
  const { authentication, decision, latencies } = facts
  return (
    (authentication === undefined ? '' : originMembers(authentication)) +
    (decision === undefined ? '' : decisionMembers(decision)) +
    rareMembers(facts, outcome) +
    (facts.certificate === undefined ? '' : issuedMembers(facts.certificate)) +
    identityMember(facts.identityMode) +
    (outcome === undefined ? '' : outcomeMembers(outcome)) +
    `"gatehouse/duration":"${formatDuration(duration)}"` +
    latency('request', latencies.request) +
    latency('limits', latencies.limits) +
    latency('authentication', latencies.authentication) +
    latency('authorization', latencies.authorization) +
    latency('upstream', latencies.upstream)
  )
}

/** What an issued certificate adds to an event. */
export function issuedBytes(certificate: IssuedFacts): number {
  return Buffer.byteLength(issuedMembers(certificate))
}

/** Each member ends with a comma. */
function issuedMembers({ serial, notAfter, source }: IssuedFacts): string {
  return withTrailingComma(
    jsonMembers({
      'gatehouse/issuedSerial': serial,
      'gatehouse/issuedNotAfter': new Date(notAfter).toISOString(),
      'gatehouse/issuedFor': truncated(source),
    }),
  )
}

let lastMode: string | undefined
let lastIdentityMember = ''

/** A process uses one mode, so the last text is reused. Ends with a comma. */
function identityMember(mode: string | undefined): string {
  if (mode === undefined) return ''
  if (mode !== lastMode) {
    lastIdentityMember = `${jsonMembers({ 'gatehouse/identity': mode })},`
    lastMode = mode
  }
  return lastIdentityMember
}

/** What a decision adds to an event. */
export function decisionBytes(decision: Decision): number {
  return Buffer.byteLength(decisionMembers(decision))
}

/** Each member ends with a comma. */
function decisionMembers(decision: Decision): string {
  let json = decisions.get(decision)
  if (json === undefined) {
    json = withTrailingComma(
      jsonMembers({
        'authorization.k8s.io/decision': decisionWord(decision),
        'authorization.k8s.io/reason': truncated(decision.reason),
        'gatehouse/rule': truncated(decision.rule),
        'gatehouse/wouldAllow': shadowRules('allow', decision),
        'gatehouse/wouldDeny': shadowRules('deny', decision),
      }),
    )
    decisions.set(decision, json)
  }
  return json
}

/** Members that only events of refused requests have. Each ends with a comma. */
function rareMembers(facts: RecordFacts, outcome: Outcome | undefined): string {
  const { cause, lock, revocation } = outcome ?? {}
  const isUsual = cause === undefined && lock === undefined && revocation === undefined
  if (facts.info !== undefined && isUsual) return ''
  return withTrailingComma(
    jsonMembers({
      'gatehouse/cause': shownCause(cause),
      'gatehouse/lock': truncated(lock),
      'gatehouse/revocation': truncated(revocation),
      'gatehouse/httpMethod': hasVerb(facts) ? undefined : refusedMethod(facts.method),
    }),
  )
}

function hasVerb({ info, ownVerb }: RecordFacts): boolean {
  return info !== undefined || ownVerb !== undefined
}

function withTrailingComma(members: string): string {
  return members === '' ? '' : `${members},`
}

/** kube-apiserver's values (apiserver/pkg/endpoints/filters/authorization.go). */
function decisionWord(decision: Decision): 'allow' | 'forbid' {
  return decision.decision === 'allow' ? 'allow' : 'forbid'
}

function shadowRules(effect: 'allow' | 'deny', decision: Decision): string | undefined {
  const rules = decision.shadow.filter((entry) => entry.effect === effect).map(({ rule }) => rule)
  return truncated(rules.join(','))
}

function refusedMethod(method: string): string | undefined {
  return method === '' ? undefined : truncate(method, MAX_METHOD_LENGTH)
}

/** Redacted, since a library's error message may quote the input that it could not parse. */
function shownCause(cause: string | undefined): string | undefined {
  return cause === undefined ? undefined : truncated(redactIdentityValue('', cause))
}

/** Undefined for an empty text, so that the member is omitted. */
function truncated(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : truncate(text, MAX_REASON_LENGTH)
}

function outcomeMembers(outcome: Outcome): string {
  const { abortedBy, bytesReceived, bytesSent, suppressedEvents } = outcome
  const aborted = abortedBy === undefined ? '' : `"gatehouse/abortedBy":"${abortedBy}",`
  const suppressed =
    suppressedEvents === undefined ? '' : `"gatehouse/suppressedEvents":"${suppressedEvents}",`
  return `${aborted}${suppressed}"gatehouse/bytesReceived":"${bytesReceived}","gatehouse/bytesSent":"${bytesSent}",`
}

function latency(stage: PipelineStage, milliseconds: number | undefined): string {
  if (milliseconds === undefined) return ''
  return `,"latency.gatehouse/${stage}":"${formatDuration(milliseconds)}"`
}
