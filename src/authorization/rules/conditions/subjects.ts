import type { Attributes } from '../../authorizer.ts'
import { compilePatterns } from '../pattern.ts'
import type { ConditionCompiler } from './condition.ts'

/**
 * The user name or one of the groups must match. A rule without `subjects` matches every user. A deny
 * rule for groups also matches a user who may be in one of them (`unassertedGroups`): otherwise it
 * would be enough to leave the groups out of a token.
 */
export const compileSubjects: ConditionCompiler<'subjects'> = ({ subjects, effect }) => {
  if (subjects === undefined) return undefined
  const isUser = compilePatterns(subjects.users ?? [])
  const isGroup = compilePatterns(subjects.groups ?? [])
  const isMember = ({ user }: Attributes) => isUser(user.username) || user.groups.some(isGroup)
  if (effect === 'allow' || subjects.groups === undefined) return isMember
  return (attributes) => {
    const { unassertedGroups } = attributes.user
    return (
      isMember(attributes) ||
      (unassertedGroups !== undefined &&
        (unassertedGroups === 'unknown' || unassertedGroups.some(isGroup)))
    )
  }
}
