/**
 * Annotations of an event. Kubernetes' own keys keep their meaning; the others are:
 *
 * | key | value |
 * |---|---|
 * | `authentication.gatehouse/*` | what the authenticator says of the identity's origin |
 * | `gatehouse/method` | what recognised the caller: `x509`, `oidc` |
 * | `gatehouse/identity` | how the user was asserted upstream: `impersonation`, `requestheader` |
 * | `gatehouse/rule` | the rule that decided; absent when the default did |
 * | `gatehouse/wouldDeny`, `gatehouse/wouldAllow` | rules in `mode: shadow` that would have, with commas between |
 * | `gatehouse/abortedBy` | who broke the exchange off: `client`, `upstream`, `gatehouse` |
 * | `gatehouse/httpMethod` | the method, of a request that was refused before it had a verb |
 * | `gatehouse/bytesReceived`, `gatehouse/bytesSent` | body or tunnel bytes from and to the client |
 * | `gatehouse/duration` | reception to the event's stage, such as `12.345ms` |
 * | `latency.gatehouse/<stage>` | time in one stage of the pipeline |
 */
import type { Decision } from '../authorization/authorizer.ts'
import { formatDuration } from './clock.ts'
import { originAnnotations } from './identity.ts'
import { quote, truncate } from './json-string.ts'
import type { Outcome, PipelineStage } from './record.ts'
import type { RecordFacts } from './event-line.ts'

const MAX_REASON_LENGTH = 1_024
const MAX_METHOD_LENGTH = 32

/** Time spent in each stage in milliseconds; a stage that did not end has no entry. */
export type Latencies = Partial<Record<PipelineStage, number>>

/**
 * The members of `annotations`, without braces. All values are strings.
 *
 * @param duration milliseconds from reception to this stage
 * @param outcome undefined at stage ResponseStarted
 */
export function annotationMembers(
  facts: RecordFacts,
  duration: number,
  outcome: Outcome | undefined,
): string {
  let members = ''
  if (facts.authentication !== undefined)
    members += originAnnotations(facts.authentication.annotations)
  if (facts.decision !== undefined) members += decisionMembers(facts.decision)
  if (outcome !== undefined) members += outcomeMembers(outcome)
  members += `"gatehouse/duration":"${formatDuration(duration)}"`
  if (facts.info === undefined && facts.method !== '') {
    members += `,"gatehouse/httpMethod":${quote(truncate(facts.method, MAX_METHOD_LENGTH))}`
  }
  if (facts.identityMode !== undefined) {
    members += `,"gatehouse/identity":${quote(facts.identityMode)}`
  }
  if (facts.authentication !== undefined) {
    members += `,"gatehouse/method":${quote(facts.authentication.method)}`
  }
  return members + latencyMembers(facts.latencies)
}

function decisionMembers({ decision, rule, reason, shadow }: Decision): string {
  const allowed = decision === 'allow'
  let members = allowed
    ? '"authorization.k8s.io/decision":"allow",'
    : '"authorization.k8s.io/decision":"forbid",'
  if (reason !== '') {
    members += `"authorization.k8s.io/reason":${quote(truncate(reason, MAX_REASON_LENGTH))},`
  }
  if (rule !== '') members += `"gatehouse/rule":${quote(rule)},`
  if (shadow.length > 0) {
    members += shadowMember('gatehouse/wouldAllow', 'allow', shadow)
    members += shadowMember('gatehouse/wouldDeny', 'deny', shadow)
  }
  return members
}

function shadowMember(key: string, effect: 'allow' | 'deny', shadow: Decision['shadow']): string {
  const rules = shadow.filter((entry) => entry.effect === effect).map(({ rule }) => rule)
  if (rules.length === 0) return ''
  return `"${key}":${quote(truncate(rules.join(','), MAX_REASON_LENGTH))},`
}

function outcomeMembers({ abortedBy, bytesReceived, bytesSent }: Outcome): string {
  const aborted = abortedBy === undefined ? '' : `"gatehouse/abortedBy":"${abortedBy}",`
  return `${aborted}"gatehouse/bytesReceived":"${bytesReceived}","gatehouse/bytesSent":"${bytesSent}",`
}

function latencyMembers(latencies: Latencies): string {
  let members = ''
  for (const stage in latencies) {
    const latency = latencies[stage as PipelineStage]
    if (latency !== undefined) {
      members += `,"latency.gatehouse/${stage}":"${formatDuration(latency)}"`
    }
  }
  return members
}
