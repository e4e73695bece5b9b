/** Groups of users in a directory: LDAP, Active Directory. */
import { checkDirectory } from '../ldap/directory-check.ts'
import {
  createGroupSearch,
  shareOf,
  UserNotFound,
  type GroupSearchOptions,
} from '../ldap/group-search.ts'
import { readBindPassword } from '../ldap/load-secrets.ts'
import type { DirectorySecrets } from '../ldap/options.ts'
import { ServiceAccountRejected } from '../ldap/rejections.ts'
import {
  MAX_SOURCE_GROUPS,
  ThrottledError,
  UnknownUserError,
  type GroupSource,
} from './group-source.ts'

/** The password of a service account; undefined if the file is empty. */
export const readDirectoryPassword: (text: string) => string | undefined = readBindPassword

/** Creates the source. */
export function createDirectoryGroups(
  options: Omit<GroupSearchOptions, 'maxGroups'>,
  secrets: DirectorySecrets,
): GroupSource {
  const search = createGroupSearch({ ...options, maxGroups: MAX_SOURCE_GROUPS }, secrets, {
    now: () => performance.now(),
  })
  return {
    async groupsOf(user, { signal }) {
      try {
        return await search.groupsOf(user, signal)
      } catch (error) {
        if (error instanceof UserNotFound) throw new UnknownUserError(error.message)
        throw asThrottled(error)
      }
    },
    async check() {
      try {
        await checkDirectory({ ...options, timeout: shareOf(options) }, secrets)
      } catch (error) {
        throw asThrottled(error)
      }
    },
  }
}

/** Directories lock an account after a few wrong passwords. */
function asThrottled(error: unknown): unknown {
  if (!(error instanceof ServiceAccountRejected)) return error
  return new ThrottledError(error.message, error.retryAfter)
}
