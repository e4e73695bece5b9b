import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

/** A claim, and the prefix for its value. */
export interface PrefixedClaim {
  readonly claim: string
  readonly prefix: string
}

export interface GroupsClaim extends PrefixedClaim {
  /** Whether a token without the claim is refused; otherwise the groups of its user are unknown. */
  readonly isRequired: boolean
}

export interface ClaimMappings {
  readonly username: PrefixedClaim
  /** Undefined: users of this issuer do not have groups. */
  readonly groups: GroupsClaim | undefined
  /** Undefined: users of this issuer do not have a uid. */
  readonly uidClaim: string | undefined
}

export interface RequiredClaim {
  readonly claim: string
  readonly requiredValue: string
}

/** KEP-3331: the key in the user's extra that identifies the token in the audit log. */
const CREDENTIAL_ID_KEY = 'authentication.kubernetes.io/credential-id'

/**
 * Throws StatusError 401 unless every required claim is present and equal to its required value.
 */
export function checkRequiredClaims(claims: JsonObject, required: readonly RequiredClaim[]): void {
  for (const { claim, requiredValue } of required) {
    if (ownMember(claims, claim) !== requiredValue) {
      throw unauthorized(
        `the claim ${claim} does not have the value that claimValidationRules require`,
      )
    }
  }
}

/**
 * Maps verified claims to a user as kube-apiserver's OIDC authenticator does, except that an empty
 * or null name is refused: kube-apiserver would accept it and use the prefix alone.
 *
 * @throws StatusError 401 for a claim that is missing or of the wrong type
 */
export function mapClaims(claims: JsonObject, mappings: ClaimMappings): UserInfo {
  return {
    username: mapUsername(claims, mappings.username),
    uid: mapUid(claims, mappings.uidClaim),
    ...mapGroups(claims, mappings.groups),
    extra: mapExtra(claims),
  }
}

function mapUsername(claims: JsonObject, { claim, prefix }: PrefixedClaim): string {
  const value = ownMember(claims, claim)
  if (typeof value !== 'string' || value === '') {
    throw unauthorized(`the username claim ${claim} is missing, empty or not a string`)
  }
  // Without email_verified the address counts as verified, as in kube-apiserver: many issuers
  // assign their users' addresses themselves and do not send the claim.
  const isUnverifiedEmail =
    claim === 'email' &&
    Object.hasOwn(claims, 'email_verified') &&
    claims['email_verified'] !== true
  if (isUnverifiedEmail) throw unauthorized('the email address is not verified (email_verified)')
  return prefix + value
}

function mapUid(claims: JsonObject, claim: string | undefined): string {
  if (claim === undefined) return ''
  const value = ownMember(claims, claim)
  if (typeof value === 'string' && value !== '') return value
  throw unauthorized(`the uid claim ${claim} is missing, empty or not a string`)
}

type Groups = Pick<UserInfo, 'groups' | 'unassertedGroups'>

/**
 * A token without the claim does not say that its user has no groups: often the bearer decides, by the
 * scopes of the sign-in, whether the issuer includes the claim. `null` states no groups either. An
 * empty list does.
 */
function mapGroups(claims: JsonObject, mapping: GroupsClaim | undefined): Groups {
  if (mapping === undefined) return { groups: [] }
  const { claim, prefix, isRequired } = mapping
  refuseDistributedGroups(claims, claim)
  const value = ownMember(claims, claim) ?? undefined
  if (value === undefined) {
    if (!isRequired) return { groups: [], unassertedGroups: 'unknown' }
    throw unauthorized(
      `the token has no groups claim ${claim}, which authentication.issuers requires: request the scope for groups`,
    )
  }
  const groups: unknown[] = Array.isArray(value) ? value : [value]
  const names = new Set<string>()
  for (const group of groups) {
    if (typeof group !== 'string') {
      throw unauthorized(`the groups claim ${claim} is neither a string nor a list of strings`)
    }
    if (group !== '') names.add(prefix + group)
  }
  return { groups: [...names] }
}

/**
 * Refuses groups in a distributed claim (OIDC Core section 5.6.2). They are not fetched, since the
 * token names the URL and its bearer could point Gatehouse anywhere. Continuing without the groups
 * would bypass every rule that denies by group.
 */
function refuseDistributedGroups(claims: JsonObject, claim: string): void {
  const names = ownMember(claims, '_claim_names')
  if (Object.hasOwn(claims, claim) || !isJsonObject(names) || !Object.hasOwn(names, claim)) return
  throw unauthorized(`the groups claim ${claim} is a distributed claim, which is not supported`)
}

function mapExtra(claims: JsonObject): UserInfo['extra'] {
  const jti = ownMember(claims, 'jti')
  return typeof jti === 'string' && jti !== '' ? { [CREDENTIAL_ID_KEY]: [`JTI=${jti}`] } : {}
}
