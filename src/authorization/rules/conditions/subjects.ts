import { compilePatterns } from '../pattern.ts'
import type { ConditionCompiler } from './condition.ts'

/** The user name or one of the groups must match. A rule without `subjects` matches every user. */
export const compileSubjects: ConditionCompiler<'subjects'> = ({ subjects }) => {
  if (subjects === undefined) return undefined
  const isUser = compilePatterns(subjects.users ?? [])
  const isGroup = compilePatterns(subjects.groups ?? [])
  return ({ user }) => isUser(user.username) || user.groups.some(isGroup)
}
