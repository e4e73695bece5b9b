/**
 * Annotations of an event. Kubernetes' own keys keep their meaning; the others are:
 *
 * | key | value |
 * |---|---|
 * | `authentication.gatehouse/*` | what the authenticator says of the identity's origin |
 * | `gatehouse/cause` | why, where the answer does not say: what was wrong with a credential, or upstream |
 * | `gatehouse/method` | what recognised the caller: `x509`, `oidc` |
 * | `gatehouse/identity` | how the user was asserted upstream: `impersonation`, `requestheader` |
 * | `gatehouse/rule` | the rule that decided; absent when the default did |
 * | `gatehouse/wouldDeny`, `gatehouse/wouldAllow` | rules in `mode: shadow` that would have, with commas between |
 * | `gatehouse/abortedBy` | who broke the exchange off: `client`, `upstream`, `gatehouse` |
 * | `gatehouse/httpMethod` | the method, of a request that was refused before it had a verb |
 * | `gatehouse/bytesReceived`, `gatehouse/bytesSent` | body or tunnel bytes from and to the client |
 * | `gatehouse/suppressedEvents` | how many refusals of strangers this one event stands for |
 * | `gatehouse/duration` | reception to the event's stage, such as `12.345ms` |
 * | `latency.gatehouse/<stage>` | time in one stage of the pipeline |
 */
import type { Decision } from '../authorization/authorizer.ts'
import { formatDuration } from './clock.ts'
import type { RecordFacts, StageFacts } from './facts.ts'
import { originMembers } from './identity.ts'
import { jsonMembers } from './json-members.ts'
import type { Outcome, PipelineStage } from './record.ts'
import { redactIdentityValue, truncate } from './redaction.ts'

const MAX_REASON_LENGTH = 1_024
const MAX_METHOD_LENGTH = 32

/** Decisions are made when rules are loaded, so their text is made once, too. */
const decisions = new WeakMap<Decision, string>()

/** The annotations of an event, all of them strings, as JSON without braces. */
export function annotationMembers(facts: RecordFacts, { duration, outcome }: StageFacts): string {
  const { authentication, decision, latencies } = facts
  return (
    (authentication === undefined ? '' : originMembers(authentication)) +
    (decision === undefined ? '' : decisionMembers(decision)) +
    rareMembers(facts, outcome) +
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

let lastMode: string | undefined
let lastIdentityMember = ''

/** There is one mode in a process, so the last text is the next one. With a comma behind it. */
function identityMember(mode: string | undefined): string {
  if (mode === undefined) return ''
  if (mode !== lastMode) {
    lastIdentityMember = `${jsonMembers({ 'gatehouse/identity': mode })},`
    lastMode = mode
  }
  return lastIdentityMember
}

/** With a comma behind each. */
function decisionMembers(decision: Decision): string {
  let json = decisions.get(decision)
  if (json === undefined) {
    json = commaBehind(
      jsonMembers({
        'authorization.k8s.io/decision': decisionWord(decision),
        'authorization.k8s.io/reason': bounded(decision.reason),
        'gatehouse/rule': bounded(decision.rule),
        'gatehouse/wouldAllow': shadowRules('allow', decision),
        'gatehouse/wouldDeny': shadowRules('deny', decision),
      }),
    )
    decisions.set(decision, json)
  }
  return json
}

/** What stands in events of refused requests only. With a comma behind each. */
function rareMembers(facts: RecordFacts, outcome: Outcome | undefined): string {
  if (facts.info !== undefined && outcome?.cause === undefined) return ''
  return commaBehind(
    jsonMembers({
      'gatehouse/cause': shownCause(outcome?.cause),
      'gatehouse/httpMethod': facts.info === undefined ? refusedMethod(facts.method) : undefined,
    }),
  )
}

function commaBehind(members: string): string {
  return members === '' ? '' : `${members},`
}

/** kube-apiserver's words (apiserver/pkg/endpoints/filters/authorization.go). */
function decisionWord(decision: Decision): 'allow' | 'forbid' {
  return decision.decision === 'allow' ? 'allow' : 'forbid'
}

function shadowRules(effect: 'allow' | 'deny', decision: Decision): string | undefined {
  const rules = decision.shadow.filter((entry) => entry.effect === effect).map(({ rule }) => rule)
  return bounded(rules.join(','))
}

function refusedMethod(method: string): string | undefined {
  return method === '' ? undefined : truncate(method, MAX_METHOD_LENGTH)
}

/** A library's message may quote what it could not read. */
function shownCause(cause: string | undefined): string | undefined {
  return cause === undefined ? undefined : bounded(redactIdentityValue('', cause))
}

function bounded(text: string | undefined): string | undefined {
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
