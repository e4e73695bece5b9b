/** Aggregated and distributed claims (OpenID Connect Core section 5.6.2). None of them is read. */
import { unauthorized } from '../bearer.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

const NAMES = '_claim_names'
const SOURCES = '_claim_sources'

/**
 * Checks that every claim whose value is elsewhere names a source of the token, as go-oidc does.
 *
 * @throws StatusError 401
 */
export function checkClaimSources(claims: JsonObject): void {
  const names = objectIn(claims, NAMES)
  const sources = objectIn(claims, SOURCES)
  for (const source of Object.values(sources)) checkSource(source)
  for (const source of Object.values(names)) {
    if (typeof source !== 'string' && source !== null) throw malformed(NAMES)
    if (source === null || source === '' || !Object.hasOwn(sources, source)) {
      throw unauthorized(`the claim ${NAMES} names a source that is not in ${SOURCES}`)
    }
  }
}

/** Null counts as an empty source, as in Go. */
function checkSource(source: unknown): void {
  if (source === null) return
  if (!isJsonObject(source)) throw malformed(SOURCES)
  for (const field of ['endpoint', 'access_token']) {
    const value = ownMember(source, field) ?? ''
    if (typeof value !== 'string') throw malformed(SOURCES)
  }
}

function objectIn(claims: JsonObject, name: string): JsonObject {
  const value = ownMember(claims, name) ?? {}
  if (!isJsonObject(value)) throw malformed(name)
  return value
}

function malformed(name: string): Error {
  return unauthorized(`the claim ${name} has the wrong form`)
}

/** Whether a claim is at an address that the token names; an aggregated one is within the token. */
export function isDistributed(claims: JsonObject, claim: string): boolean {
  const source = ownMember(objectIn(claims, NAMES), claim)
  if (typeof source !== 'string') return false
  const found = ownMember(objectIn(claims, SOURCES), source)
  return isJsonObject(found) && (ownMember(found, 'endpoint') ?? '') !== ''
}

/** Whether the values of any claims are elsewhere. */
export function hasDistributed(claims: JsonObject): boolean {
  return Object.keys(objectIn(claims, NAMES)).some((claim) => isDistributed(claims, claim))
}

/** Whether the token says that there are claims elsewhere, and does not say where. */
export function lacksSources(claims: JsonObject): boolean {
  return Object.hasOwn(claims, NAMES) && !Object.hasOwn(claims, SOURCES)
}
