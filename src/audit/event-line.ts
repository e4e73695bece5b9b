/**
 * One event as one line of JSON, put together by concatenation: several times cheaper than building
 * an `AuditEvent` for `JSON.stringify`, and this runs for every request. The tests hold the result
 * against the type.
 */
import type { Authentication } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { RequestInfo, Target } from '../request/types.ts'
import { annotationMembers, type Latencies } from './annotations.ts'
import { formatMicroTime } from './clock.ts'
import type { AuditStage } from './event.ts'
import { userJson } from './identity.ts'
import { quote, truncate } from './json-string.ts'
import type { Outcome } from './record.ts'
import { redactTarget, redactUnparsed } from './redaction.ts'

const MAX_MESSAGE_LENGTH = 2_048

/** What is known of a request at the moment of an event. */
export interface RecordFacts {
  readonly auditID: string
  /** Microseconds since the epoch. */
  readonly receivedAt: number
  readonly method: string
  readonly rawTarget: string
  readonly remoteAddress: string
  readonly userAgent: string | undefined
  readonly target: Target | undefined
  readonly info: RequestInfo | undefined
  readonly authentication: Authentication | undefined
  readonly decision: Decision | undefined
  readonly identityMode: string | undefined
  readonly latencies: Latencies
}

/** The stage that an event reports. */
export interface StageFacts {
  readonly stage: AuditStage
  /** Microseconds since the epoch. */
  readonly at: number
  /** Milliseconds since reception. */
  readonly duration: number
  readonly code: number
  /** Undefined at stage ResponseStarted. */
  readonly outcome: Outcome | undefined
}

/** The event's line with its newline, in kube-apiserver's order of fields. */
export function eventLine(
  facts: RecordFacts,
  { stage, at, duration, code, outcome }: StageFacts,
): string {
  const { auditID, target, info, remoteAddress, userAgent } = facts
  const uri =
    target === undefined
      ? redactUnparsed(facts.rawTarget)
      : redactTarget(target.raw, target.rawQuery)
  return (
    `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"${auditID}",` +
    `"stage":"${stage}","requestURI":${quote(uri)},` +
    `"verb":${info === undefined ? '""' : quote(info.verb)},` +
    `"user":${userJson(facts.authentication?.user)},` +
    `"sourceIPs":${remoteAddress === '' ? '[]' : `[${quote(remoteAddress)}]`},` +
    (userAgent === undefined ? '' : `"userAgent":${quote(userAgent)},`) +
    objectReference(info) +
    responseStatus(code, outcome) +
    `"requestReceivedTimestamp":"${formatMicroTime(facts.receivedAt)}",` +
    `"stageTimestamp":"${formatMicroTime(at)}",` +
    `"annotations":{${annotationMembers(facts, duration, outcome)}}}\n`
  )
}

/** `objectRef`, for resource requests only; empty fields are left out. */
function objectReference(info: RequestInfo | undefined): string {
  if (info?.isResourceRequest !== true) return ''
  const { resource, namespace, name, apiGroup, apiVersion, subresource } = info
  return (
    `"objectRef":{"resource":${quote(resource)}` +
    (namespace === '' ? '' : `,"namespace":${quote(namespace)}`) +
    (name === '' ? '' : `,"name":${quote(name)}`) +
    (apiGroup === '' ? '' : `,"apiGroup":${quote(apiGroup)}`) +
    (apiVersion === '' ? '' : `,"apiVersion":${quote(apiVersion)}`) +
    (subresource === '' ? '},' : `,"subresource":${quote(subresource)}},`)
  )
}

/** kube-apiserver: the code always; status, message and reason when a `metav1.Status` was answered. */
function responseStatus(code: number, outcome: Outcome | undefined): string {
  if (outcome?.reason === undefined && outcome?.message === undefined) {
    return `"responseStatus":{"metadata":{},"code":${code}},`
  }
  const { message = '', reason = '' } = outcome
  return (
    '"responseStatus":{"metadata":{},"status":"Failure"' +
    (message === '' ? '' : `,"message":${quote(truncate(message, MAX_MESSAGE_LENGTH))}`) +
    (reason === '' ? '' : `,"reason":${quote(reason)}`) +
    `,"code":${code}},`
  )
}
