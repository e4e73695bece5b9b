import type { UserInfo } from '../authenticator.ts'
import { quote } from '../quote.ts'
import type { Issuer } from './authentication-config.ts'

/** Returns why an identity that is not of an issuer must not have its name or groups. */
export type ReservedNames = (user: UserInfo) => string | undefined

interface Reserved {
  readonly url: string
  readonly username: string
  readonly groups: string
}

/**
 * Makes the check that a user of another source has no name that begins with an issuer's prefix: rules
 * and RBAC take it for a user of that issuer. Without a mapping for groups, the prefix of user names is
 * kept free for groups as well.
 */
export function createReservedNames(issuers: readonly Issuer[]): ReservedNames {
  const reserved = issuers.flatMap(({ url, claimMappings, sharesNames }): Reserved[] => {
    if (sharesNames) return []
    const username = claimMappings.username.prefix
    return [{ url, username, groups: claimMappings.groups?.prefix ?? username }]
  })
  return (user) => {
    for (const { url, username, groups } of reserved) {
      if (isOf(username, user.username)) return taken('user name', user.username, url)
      for (const group of user.groups) {
        if (isOf(groups, group)) return taken('group', group, url)
      }
    }
    return undefined
  }
}

/** Names of Kubernetes itself are of no issuer, also of one without a prefix. */
function isOf(prefix: string, name: string): boolean {
  return name.startsWith(prefix) && !name.startsWith('system:')
}

function taken(what: string, name: string, url: string): string {
  return `${what} ${quote(name)} begins with the prefix of the issuer ${quote(url)}, so only its tokens may name it`
}
