import type { UserInfo } from '../../../authentication/authenticator.ts'
import { compilePatterns } from '../../../patterns.ts'
import type { AccessRule } from '../schema.ts'
import type { ConditionCompiler } from './condition.ts'

/** A rule without `subjects` matches every user. */
export const compileSubjects: ConditionCompiler<'subjects'> = ({ subjects, effect }) => {
  if (subjects === undefined) return undefined
  const matches = compileUser(subjects, effect)
  return ({ user }) => matches(user)
}

/**
 * The user name or one of the groups must match. A deny rule for groups also matches a user who may be in
 * one of them (`unassertedGroups`): otherwise it would be enough to leave the groups out of a token.
 */
export function compileUser(
  subjects: NonNullable<AccessRule['subjects']>,
  effect: AccessRule['effect'],
): (user: UserInfo) => boolean {
  const isUser = compilePatterns(subjects.users ?? [])
  const isGroup = compilePatterns(subjects.groups ?? [])
  const isMember = (user: UserInfo) => isUser(user.username) || user.groups.some(isGroup)
  if (effect === 'allow' || subjects.groups === undefined) return isMember
  return (user) => {
    const { unassertedGroups } = user
    return (
      isMember(user) ||
      (unassertedGroups !== undefined &&
        (unassertedGroups === 'unknown' || unassertedGroups.some(isGroup)))
    )
  }
}
