/** Groups of an issuer's users that are not in their tokens. */
import type { GroupSourceField } from '../../config/schema/group-source.ts'
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

/** Creates the lookup of one issuer's groups; nothing is asked yet. */
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

type CreateSource = (
  access: GroupSourceAccess,
  effects: IssuerGroupsEffects,
) => GroupSource | undefined

/**
 * By the field that configures each; undefined where the issuer has another one. A source of the schema
 * that is missing here does not compile.
 */
const sources: Readonly<Record<GroupSourceField, CreateSource>> = {
  file: ({ memberships }) => memberships && createMembershipSource(memberships),
  microsoftGraph({ options: { microsoftGraph }, clientSecret }, effects) {
    if (microsoftGraph === undefined || clientSecret === undefined) return undefined
    return createMicrosoftGraph({ ...microsoftGraph, clientSecret }, effects)
  },
  googleWorkspace({ options: { googleWorkspace }, serviceAccountKey }, effects) {
    if (googleWorkspace === undefined || serviceAccountKey === undefined) return undefined
    return createGoogleWorkspace({ ...googleWorkspace, key: serviceAccountKey }, effects)
  },
  ldap({ options: { ldap, timeout }, certificateAuthority: ca, bindPassword }) {
    if (ldap === undefined || bindPassword === undefined) return undefined
    return createDirectoryGroups({ ...ldap, timeout }, { ca, bindPassword })
  },
}

function sourceOf(access: GroupSourceAccess, effects: IssuerGroupsEffects): GroupSource {
  for (const create of Object.values(sources)) {
    const source = create(access, effects)
    if (source !== undefined) return source
  }
  throw new TypeError('a source of groups is not loaded')
}
