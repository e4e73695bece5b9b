import type { UserInfo } from '../authenticator.ts'
import type { Issuer } from './authentication-config.ts'
import { mapClaims, TokenClaims, withoutRepeats, type LookedUpGroups } from './claim-mappings.ts'
import { checkRules } from './claim-rules.ts'
import { checkClaimSources } from './claim-sources.ts'
import { checkParties } from './registered-claims.ts'
import type { JsonObject } from './strict-json.ts'

/**
 * The user that an issuer's verified claims name, whatever their times are. Throws StatusError 401.
 *
 * @param lookedUp groups that are not in the token, if they were looked up
 */
export function userOf(claims: JsonObject, issuer: Issuer, lookedUp?: LookedUpGroups): UserInfo {
  checkParties(claims, { issuer: issuer.url, audiences: issuer.audiences })
  checkClaimSources(claims)
  const tokenClaims = new TokenClaims(claims)
  const user = mapClaims(tokenClaims, issuer.claimMappings, lookedUp)
  // kube-apiserver's rules see the groups with their repetitions, and those that are not asserted.
  checkRules(tokenClaims, user, issuer.rules)
  const once = withoutRepeats(user, issuer.claimMappings.groups)
  return issuer.filterGroups === undefined ? once : issuer.filterGroups(once)
}
