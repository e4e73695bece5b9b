import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

/** A claim, and what is put in front of its value. */
export interface PrefixedClaim {
  readonly claim: string
  readonly prefix: string
}

export interface ClaimMappings {
  readonly username: PrefixedClaim
  /** Undefined: users of this issuer have no groups. */
  readonly groups: PrefixedClaim | undefined
  /** Undefined: users have no uid. */
  readonly uidClaim: string | undefined
}

export interface RequiredClaim {
  readonly claim: string
  readonly requiredValue: string
}

/** KEP-3331: names the token in the user's extra, for the audit log. */
const CREDENTIAL_ID_KEY = 'authentication.kubernetes.io/credential-id'

/** Throws StatusError 401 unless every claim is there, a string, and equal. */
export function checkRequiredClaims(claims: JsonObject, required: readonly RequiredClaim[]): void {
  for (const { claim, requiredValue } of required) {
    if (ownMember(claims, claim) !== requiredValue) {
      throw unauthorized(`the claim ${claim} is not what claimValidationRules require`)
    }
  }
}

/**
 * The user that verified claims name, as kube-apiserver's OIDC authenticator maps them. Where it
 * would let an empty name through (`""` and null give just the prefix), this refuses. Throws
 * StatusError 401.
 */
export function mapClaims(claims: JsonObject, mappings: ClaimMappings): UserInfo {
  return {
    username: mapUsername(claims, mappings.username),
    uid: mapUid(claims, mappings.uidClaim),
    groups: mapGroups(claims, mappings.groups),
    extra: mapExtra(claims),
  }
}

function mapUsername(claims: JsonObject, { claim, prefix }: PrefixedClaim): string {
  const value = ownMember(claims, claim)
  if (typeof value !== 'string' || value === '') {
    throw unauthorized(`the username's claim ${claim} is missing, empty or no string`)
  }
  // Without the claim an address counts as verified, as with kube-apiserver: many issuers know
  // their users' addresses themselves and do not send it.
  if (claim === 'email' && Object.hasOwn(claims, 'email_verified')) {
    if (claims['email_verified'] !== true) {
      throw unauthorized('the email address is not verified (email_verified)')
    }
  }
  return prefix + value
}

function mapUid(claims: JsonObject, claim: string | undefined): string {
  if (claim === undefined) return ''
  const value = ownMember(claims, claim)
  if (typeof value === 'string' && value !== '') return value
  throw unauthorized(`the uid's claim ${claim} is missing, empty or no string`)
}

function mapGroups(claims: JsonObject, mapping: PrefixedClaim | undefined): readonly string[] {
  if (mapping === undefined) return []
  const { claim, prefix } = mapping
  const value = ownMember(claims, claim) ?? []
  refuseDistributedGroups(claims, claim)
  const groups: unknown[] = Array.isArray(value) ? value : [value]
  const names = new Set<string>()
  for (const group of groups) {
    if (typeof group !== 'string') {
      throw unauthorized(`the groups' claim ${claim} is neither a string nor a list of strings`)
    }
    if (group !== '') names.add(prefix + group)
  }
  return [...names]
}

/**
 * Distributed claims (OIDC Core section 5.6.2) are not fetched: the token says from where, which
 * would let its bearer point Gatehouse anywhere. To go on without the groups would be to get around
 * every rule that denies by group.
 */
function refuseDistributedGroups(claims: JsonObject, claim: string): void {
  const names = ownMember(claims, '_claim_names')
  if (Object.hasOwn(claims, claim) || !isJsonObject(names) || !Object.hasOwn(names, claim)) return
  throw unauthorized(`the groups' claim ${claim} is a distributed claim, which is not supported`)
}

function mapExtra(claims: JsonObject): UserInfo['extra'] {
  const jti = ownMember(claims, 'jti')
  return typeof jti === 'string' && jti !== '' ? { [CREDENTIAL_ID_KEY]: [`JTI=${jti}`] } : {}
}
