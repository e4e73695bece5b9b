/**
 * One event as one line of JSON. This runs for every request, so it is put together by hand where
 * that is cheaper: `JSON.stringify` gets what a client or an operator wrote, in a few flat objects;
 * numbers, times and what is the same for every request of a user are concatenated. The tests hold
 * the result against the type `AuditEvent`.
 */
import { annotationMembers } from './annotations.ts'
import { formatMicroTime } from './clock.ts'
import type { RecordFacts, StageFacts } from './facts.ts'
import { userJson } from './identity.ts'
import { jsonMembers } from './json-members.ts'
import { objectReference } from './object-reference.ts'
import { redactJws, redactTarget, redactUnparsed, truncate } from './redaction.ts'
import { truncateJson } from './truncate-json.ts'

const MAX_MESSAGE_LENGTH = 2_048
/** Bytes, in events of those who were not recognised: each of them costs a stranger nothing. */
const MAX_STRANGER_URI_LENGTH = 512
const MAX_STRANGER_USER_AGENT_LENGTH = 128

/** The event's line with its newline, in kube-apiserver's order of fields. */
export function eventLine(facts: RecordFacts, stageFacts: StageFacts): string {
  const { target, info } = facts
  const isStranger = facts.authentication === undefined
  const uri =
    target === undefined
      ? redactUnparsed(facts.rawTarget)
      : redactTarget(target.raw, target.rawQuery)
  const asked = {
    requestURI: isStranger ? truncateJson(uri, MAX_STRANGER_URI_LENGTH) : uri,
    verb: info === undefined ? '' : info.verb,
  }
  const caller = {
    sourceIPs: facts.remoteAddress === '' ? [] : [facts.remoteAddress],
    userAgent: isStranger ? strangersUserAgent(facts.userAgent) : facts.userAgent,
    objectRef: info?.isResourceRequest === true ? objectReference(info, isStranger) : undefined,
  }
  return (
    `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"${facts.auditID}",` +
    `"stage":"${stageFacts.stage}",${jsonMembers(asked)},` +
    `"user":${userJson(facts.authentication?.user)},${jsonMembers(caller)},` +
    `"responseStatus":{${responseStatus(stageFacts)}},` +
    `"requestReceivedTimestamp":"${formatMicroTime(facts.receivedAt)}",` +
    `"stageTimestamp":"${formatMicroTime(stageFacts.at)}",` +
    `"annotations":{${annotationMembers(facts, stageFacts)}}}\n`
  )
}

function strangersUserAgent(userAgent: string | undefined): string | undefined {
  return userAgent === undefined
    ? undefined
    : truncateJson(userAgent, MAX_STRANGER_USER_AGENT_LENGTH)
}

/** kube-apiserver: the code always; status, message and reason when a `metav1.Status` was answered. */
function responseStatus({ code, outcome }: StageFacts): string {
  const message = outcome?.message
  const reason = outcome?.reason
  if (message === undefined && reason === undefined) return `"metadata":{},"code":${code}`
  return jsonMembers({
    metadata: {},
    status: 'Failure',
    message: message === undefined ? undefined : truncate(redactJws(message), MAX_MESSAGE_LENGTH),
    reason,
    code,
  })
}
