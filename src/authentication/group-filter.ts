/** Which groups of a user are asserted to the API server. What is left out still counts for deny rules. */
import { compilePatterns } from '../patterns.ts'
import type { UserInfo } from './authenticator.ts'

/** Leaves out groups; returns the same user if it leaves out none. */
export type GroupFilter = (user: UserInfo) => UserInfo

/**
 * Creates a filter that keeps the groups that match a pattern: a name, or the beginning of names with `*`.
 *
 * @param allowed undefined: every group is kept
 */
export function createGroupFilter(allowed: readonly string[] | undefined): GroupFilter {
  if (allowed === undefined) return (user) => user
  const isAllowed = compilePatterns(allowed)
  return (user) => {
    const left = user.groups.filter((group) => !isAllowed(group))
    if (left.length === 0) return user
    return withUnasserted({ ...user, groups: user.groups.filter(isAllowed) }, left)
  }
}

/**
 * Adds groups that are not asserted. Deny rules count them as they are and without the blanks at their
 * ends, which are easily overlooked in a rule.
 */
export function withUnasserted(user: UserInfo, groups: readonly string[]): UserInfo {
  const { unassertedGroups = [] } = user
  // It stands for every group.
  if (unassertedGroups === 'unknown') return user
  const asserted = new Set(user.groups)
  const names = groups
    .flatMap((group) => [group, group.trim()])
    // A trimmed name may be one that the user is in anyway.
    .filter((group) => group !== '' && !asserted.has(group))
  return { ...user, unassertedGroups: [...new Set([...unassertedGroups, ...names])] }
}
