/** Groups of an issuer's users that are not in their tokens. */
import {
  createGroupLookup,
  type GroupLookup,
  type GroupLookupEffects,
} from '../../groups/group-lookup.ts'
import { createDirectoryGroups } from '../../groups/directory-groups.ts'
import { UnknownUserError, type GroupSource, type SendHttp } from '../../groups/group-source.ts'
import { createGoogleWorkspace } from '../../groups/google-workspace.ts'
import { createMembershipSource } from '../../groups/membership-file.ts'
import { createMicrosoftGraph } from '../../groups/microsoft-graph.ts'
import { retryAfter, StatusError } from '../../status.ts'
import { unauthorized } from '../bearer.ts'
import {
  statesGroups,
  TokenClaims,
  type GroupsSource,
  type LookedUpGroups,
} from './claim-mappings.ts'
import { userClaimOf, type GroupSourceAccess } from './issuer-access.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

export interface IssuerGroups {
  /**
   * Looks up the groups of the user whom verified claims name; undefined if the token states its groups
   * and nothing is added to them.
   *
   * @throws StatusError 401 if the source does not have the user, or the token lacks the claim that names
   * the user there; 503 if the source cannot say
   */
  find(claims: JsonObject, mapping: GroupsSource | undefined): Promise<LookedUp | undefined>
  /** What was found last for these claims; undefined if nothing is remembered. */
  last(claims: JsonObject): ReturnType<GroupLookup['last']>
  /** Rejects with why the source cannot be asked. Undefined for a source that has everything in memory. */
  readonly check: GroupLookup['check']
  /** Whether no user of the issuer is let in before the source has said which groups they have. */
  readonly isRequired: boolean
}

export interface LookedUp {
  readonly groups: LookedUpGroups
  /** When they have to be looked up again, in milliseconds since the epoch. */
  readonly until: number
}

export interface IssuerGroupsEffects extends GroupLookupEffects {
  readonly send: SendHttp
}

/** While the source cannot say: the next request asks again. */
const UNKNOWN_LIFETIME_MS = 2_000
/** For clients; kubectl and client-go wait and repeat. */
const RETRY_AFTER_SECONDS = 2

export function createIssuerGroups(
  access: GroupSourceAccess,
  effects: IssuerGroupsEffects,
): IssuerGroups {
  const { when, onFailure, cacheLifetime, timeout } = access.options
  const lookup = createGroupLookup(
    sourceOf(access, effects),
    { lifetime: cacheLifetime, timeout },
    effects,
  )
  const userClaim = userClaimOf(access)

  return {
    check: lookup.check,
    isRequired: when === 'always' && onFailure === 'refuse',
    async find(claims, mapping) {
      if (when === 'missing' && statesGroups(new TokenClaims(claims), mapping)) return undefined
      const user = ownMember(claims, userClaim)
      if (typeof user !== 'string' || user === '') {
        throw unauthorized(
          `the token has no claim ${userClaim}, by which the groups of the user are looked up`,
        )
      }
      try {
        const { names, until } = await lookup.find(user)
        return { groups: names, until }
      } catch (error) {
        if (error instanceof UnknownUserError) throw unauthorized(error.message)
        if (onFailure === 'refuse') throw unavailable(error)
        return { groups: 'unknown', until: effects.clock() + UNKNOWN_LIFETIME_MS }
      }
    },
    last(claims) {
      const user = ownMember(claims, userClaim)
      return typeof user === 'string' ? lookup.last(user) : undefined
    },
  }
}

function unavailable(cause: unknown): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'the groups of the user cannot be looked up at present; try again',
    { cause, ...retryAfter(RETRY_AFTER_SECONDS) },
  )
}

function sourceOf(access: GroupSourceAccess, effects: IssuerGroupsEffects): GroupSource {
  const { options, memberships, clientSecret, serviceAccountKey, bindPassword } = access
  const { microsoftGraph, googleWorkspace, ldap, timeout } = options
  if (memberships !== undefined) return createMembershipSource(memberships)
  if (microsoftGraph !== undefined && clientSecret !== undefined) {
    return createMicrosoftGraph({ ...microsoftGraph, clientSecret }, effects)
  }
  if (googleWorkspace !== undefined && serviceAccountKey !== undefined) {
    return createGoogleWorkspace({ ...googleWorkspace, key: serviceAccountKey }, effects)
  }
  if (ldap !== undefined && bindPassword !== undefined) {
    const secrets = { ca: access.certificateAuthority, bindPassword }
    return createDirectoryGroups({ ...ldap, timeout }, secrets)
  }
  throw new TypeError('a source of groups is not loaded')
}
