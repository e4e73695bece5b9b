/** Groups and their members in a file. */
import { z } from 'zod'

import { loadDocument } from '../config/document.ts'
import type { GroupSource } from './group-source.ts'

export interface MembershipFile {
  readonly groups: readonly { readonly name: string; readonly members: readonly string[] }[]
}

const name = (meaning: string) => z.string().min(1, 'is empty').describe(meaning)

const schema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('gatehouse/v1'),
  kind: z.literal('GroupMemberships').describe('GroupMemberships'),
  groups: z
    .array(
      z.strictObject({
        name: name('the name of a group, without the prefix of the issuer'),
        members: z
          .array(name('a user, by the value of userClaim'))
          .describe('a list of users, by the value of userClaim'),
      }),
    )
    .describe('a list of groups'),
})

/** @throws ConfigError with every problem found */
export function loadMembershipFile(file: string): MembershipFile {
  const { groups } = loadDocument(file, schema).value
  return { groups }
}

/** A user whom the file does not name is in none of its groups. */
export function createMembershipSource({ groups }: MembershipFile): GroupSource {
  const ofUser = new Map<string, string[]>()
  for (const { name: group, members } of groups) {
    for (const member of members) {
      const names = ofUser.get(member)
      if (names === undefined) ofUser.set(member, [group])
      else names.push(group)
    }
  }
  return { groupsOf: (user) => Promise.resolve(ofUser.get(user) ?? []) }
}
