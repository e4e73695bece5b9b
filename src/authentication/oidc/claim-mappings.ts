import type { Value } from '../../cel/values.ts'
import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { hasDistributed, isDistributed, lacksSources } from './claim-sources.ts'
import { claimsVariable, evaluateFor, stringsOf, type Expression } from './expressions.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

/** A claim, or an expression over all of them. */
export type Source = ClaimSource | ExpressionSource

export interface ClaimSource {
  readonly claim: string
}

export interface ExpressionSource {
  readonly expression: Expression
}

/**
 * Where names come from. `prefix` begins all of them: it is put before the value of a claim, and is known
 * to begin those of an expression.
 */
export type NameSource = Source & { readonly prefix: string }

export type GroupsSource = NameSource & {
  /** Whether a token that does not state its groups is refused; otherwise these are unknown. */
  readonly isRequired: boolean
  /** Whether groups that are not in the token are looked up: a distributed claim is not refused then. */
  readonly isLookedUp?: boolean
}

/** Groups without prefix that were looked up; `unknown` if they could not be. */
export type LookedUpGroups = readonly string[] | 'unknown'

export interface ExtraMapping {
  readonly key: string
  readonly expression: Expression
}

export interface ClaimMappings {
  readonly username: NameSource
  /** Undefined: users of this issuer do not have groups. */
  readonly groups: GroupsSource | undefined
  /** Undefined: users of this issuer do not have a uid. */
  readonly uid: Source | undefined
  readonly extra: readonly ExtraMapping[]
}

/** KEP-3331: the key in the user's extra that identifies the token in the audit log. */
const CREDENTIAL_ID_KEY = 'authentication.kubernetes.io/credential-id'

/** The claims of one token, and the same as the variable of expressions, made if one needs it. */
export class TokenClaims {
  readonly json: JsonObject
  private converted: Value | undefined

  constructor(json: JsonObject) {
    this.json = json
  }

  get variable(): Value {
    return (this.converted ??= claimsVariable(this.json))
  }
}

/**
 * Maps verified claims to a user as kube-apiserver's OIDC authenticator does, except that an empty
 * or null name is refused: kube-apiserver would accept it and use the prefix alone. Groups are as they
 * are there, duplicates and the prefix alone included; `withoutRepeats` leaves these out.
 *
 * @throws StatusError 401 for a claim that is missing or of the wrong type, or an expression without a
 * value
 */
export function mapClaims(
  claims: TokenClaims,
  mappings: ClaimMappings,
  lookedUp?: LookedUpGroups,
): UserInfo {
  return {
    username: mapUsername(claims, mappings.username),
    uid: mapUid(claims, mappings.uid),
    ...withLookedUp(mapGroups(claims, mappings.groups), mappings.groups, lookedUp),
    extra: mapExtra(claims, mappings.extra),
  }
}

/** Leaves out groups that are listed before, and those that are the prefix alone. */
export function withoutRepeats(user: UserInfo, groups: GroupsSource | undefined): UserInfo {
  const empty = groups !== undefined && 'claim' in groups ? groups.prefix : ''
  const names = new Set(user.groups)
  names.delete(empty)
  return names.size === user.groups.length ? user : { ...user, groups: [...names] }
}

function mapUsername(claims: TokenClaims, source: NameSource): string {
  if ('expression' in source) {
    const name = evaluateFor('the username expression', source.expression, claims.variable)
    if (typeof name === 'string' && name !== '') return name
    throw unauthorized('the value of the username expression is empty or not a string')
  }
  const { claim, prefix } = source
  const value = ownMember(claims.json, claim)
  if (typeof value !== 'string' || value === '') {
    throw unauthorized(`the username claim ${claim} is missing, empty or not a string`)
  }
  // Without email_verified the address counts as verified, as in kube-apiserver: many issuers
  // assign their users' addresses themselves and do not send the claim.
  const isUnverifiedEmail =
    claim === 'email' &&
    Object.hasOwn(claims.json, 'email_verified') &&
    claims.json['email_verified'] !== true
  if (isUnverifiedEmail) throw unauthorized('the email address is not verified (email_verified)')
  return prefix + value
}

/** It may be empty. */
function mapUid(claims: TokenClaims, source: Source | undefined): string {
  if (source === undefined) return ''
  if ('expression' in source) {
    const uid = evaluateFor('the uid expression', source.expression, claims.variable)
    if (typeof uid === 'string') return uid
    throw unauthorized('the value of the uid expression is not a string')
  }
  const { claim } = source
  const value = ownMember(claims.json, claim)
  if (value === null) return ''
  if (typeof value === 'string') return value
  throw unauthorized(`the uid claim ${claim} is missing or not a string`)
}

type Groups = Pick<UserInfo, 'groups' | 'unassertedGroups'>

/** Whether a token states its groups. @throws StatusError 401 for a groups claim of the wrong type */
export function statesGroups(claims: TokenClaims, source: GroupsSource | undefined): boolean {
  return mapGroups(claims, source).unassertedGroups === undefined
}

function withLookedUp(
  stated: Groups,
  source: GroupsSource | undefined,
  lookedUp: LookedUpGroups | undefined,
): Groups {
  if (lookedUp === undefined || source === undefined) return stated
  if (lookedUp === 'unknown') return { ...stated, unassertedGroups: 'unknown' }
  return { groups: [...stated.groups, ...lookedUp.map((name) => source.prefix + name)] }
}

function mapGroups(claims: TokenClaims, source: GroupsSource | undefined): Groups {
  if (source === undefined) return { groups: [] }
  const groups =
    'expression' in source ? computedGroups(claims, source) : claimedGroups(claims, source)
  if (groups !== undefined) return { groups }
  if (!source.isRequired) return { groups: [], unassertedGroups: 'unknown' }
  const missing =
    'claim' in source ? `has no groups claim ${source.claim}` : 'does not state its groups'
  throw unauthorized(
    `the token ${missing}, which authentication.issuers requires: request the scope for groups`,
  )
}

/**
 * Undefined if the token does not state them: a token without the claim does not say that its user has no
 * groups. Often the bearer decides, by the scopes of the sign-in, whether the issuer includes the claim.
 * `null` states no groups either. An empty list does.
 */
function claimedGroups(
  { json }: TokenClaims,
  { claim, prefix, isLookedUp = false }: ClaimSource & GroupsSource,
): readonly string[] | undefined {
  if (!Object.hasOwn(json, claim)) {
    if (!isLookedUp) refuseElsewhere(json, claim)
    return undefined
  }
  const value = json[claim]
  if (value === null) return undefined
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((group) => {
    // Within a list, null is an empty string in Go.
    if (typeof group === 'string' || (group === null && Array.isArray(value))) {
      return prefix + (group ?? '')
    }
    throw unauthorized(`the groups claim ${claim} is neither a string nor a list of strings`)
  })
}

/**
 * Refuses groups in a distributed claim. They are not fetched, since the token names the URL and its
 * bearer could point Gatehouse anywhere. Continuing without the groups would bypass every rule that denies
 * by group.
 */
function refuseElsewhere(claims: JsonObject, claim: string): void {
  if (isDistributed(claims, claim)) {
    throw unauthorized(`the groups claim ${claim} is a distributed claim, which is not supported`)
  }
  if (lacksSources(claims)) throw unauthorized('the token has _claim_names without _claim_sources')
}

/** Undefined if the expression gives null, or the token has claims elsewhere, which may be groups. */
function computedGroups(
  claims: TokenClaims,
  { expression }: ExpressionSource,
): readonly string[] | undefined {
  const value = evaluateFor('the groups expression', expression, claims.variable)
  const groups = stringsOf('the value of the groups expression', value)
  const isStated = value !== null && (groups.length > 0 || !hasDistributed(claims.json))
  return isStated ? groups : undefined
}

function mapExtra(claims: TokenClaims, mappings: readonly ExtraMapping[]): UserInfo['extra'] {
  const jti = ownMember(claims.json, 'jti')
  const entries: [string, readonly string[]][] =
    typeof jti === 'string' && jti !== '' ? [[CREDENTIAL_ID_KEY, [`JTI=${jti}`]]] : []
  for (const { key, expression } of mappings) {
    const what = `the expression of extra ${key}`
    const values = stringsOf(`the value of ${what}`, evaluateFor(what, expression, claims.variable))
    if (values.length > 0) entries.push([key, values])
  }
  return Object.fromEntries(entries)
}
