/**
 * Formats one event as one line of JSON. This runs for every request, so the line is concatenated
 * where that is cheaper: `JSON.stringify` formats what a client or an administrator wrote, in a few
 * flat objects; numbers, times and what is the same for all requests of a user are concatenated.
 * Tests compare the result with the type `AuditEvent`.
 */
import { annotationMembers } from './annotations.ts'
import { formatMicroTime } from './clock.ts'
import type { RecordFacts, StageFacts } from './facts.ts'
import { impersonationMembers, userJson } from './identity.ts'
import { jsonMembers } from './json-members.ts'
import { objectReference } from './object-reference.ts'
import { redactJws, redactTarget, redactUnparsed, truncate } from './redaction.ts'
import { truncateJson } from './truncate-json.ts'

const MAX_MESSAGE_LENGTH = 2_048
/** Bytes, in events of unauthenticated clients, which can cause as many events as they like. */
const MAX_UNAUTHENTICATED_URI_BYTES = 512
const MAX_UNAUTHENTICATED_USER_AGENT_BYTES = 128
const MAX_UNAUTHENTICATED_MESSAGE_BYTES = 512

/** The event's line including its newline, with fields in kube-apiserver's order. */
export function eventLine(facts: RecordFacts, stageFacts: StageFacts): string {
  const { target, info } = facts
  const isAuthenticated = facts.authentication !== undefined
  const uri =
    target === undefined
      ? redactUnparsed(facts.rawTarget)
      : redactTarget(target.raw, target.rawQuery)
  const requested = {
    requestURI: isAuthenticated ? uri : truncateJson(uri, MAX_UNAUTHENTICATED_URI_BYTES),
    verb: info === undefined ? (facts.ownVerb ?? '') : info.verb,
  }
  const caller = {
    sourceIPs: facts.remoteAddress === '' ? [] : [facts.remoteAddress],
    userAgent: isAuthenticated ? facts.userAgent : shortUserAgent(facts.userAgent),
    objectRef:
      info?.isResourceRequest === true ? objectReference(info, isAuthenticated) : undefined,
  }
  return (
    `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"${facts.auditID}",` +
    `"stage":"${stageFacts.stage}",${jsonMembers(requested)},` +
    `"user":${userJson(facts.authentication?.user)},` +
    (facts.impersonation === undefined ? '' : impersonationMembers(facts.impersonation)) +
    `${jsonMembers(caller)},` +
    responseStatus(stageFacts, isAuthenticated) +
    `"requestReceivedTimestamp":"${formatMicroTime(facts.receivedAt)}",` +
    `"stageTimestamp":"${formatMicroTime(stageFacts.at)}",` +
    `"annotations":{${annotationMembers(facts, stageFacts)}}}\n`
  )
}

function shortUserAgent(userAgent: string | undefined): string | undefined {
  return userAgent === undefined
    ? undefined
    : truncateJson(userAgent, MAX_UNAUTHENTICATED_USER_AGENT_BYTES)
}

function shownMessage(message: string, isAuthenticated: boolean): string {
  const shown = redactJws(message)
  return isAuthenticated
    ? truncate(shown, MAX_MESSAGE_LENGTH)
    : truncateJson(shown, MAX_UNAUTHENTICATED_MESSAGE_BYTES)
}

/**
 * As kube-apiserver: the code as soon as it is known; status, message and reason when the response is a
 * `metav1.Status`. Ends with a comma.
 */
function responseStatus({ code, outcome }: StageFacts, isAuthenticated: boolean): string {
  const message = outcome?.message
  const reason = outcome?.reason
  if (code === undefined) return ''
  if (message === undefined && reason === undefined)
    return `"responseStatus":{"metadata":{},"code":${code}},`
  const members = jsonMembers({
    metadata: {},
    status: 'Failure',
    message: message === undefined ? undefined : shownMessage(message, isAuthenticated),
    reason,
    code,
  })
  return `"responseStatus":{${members}},`
}
