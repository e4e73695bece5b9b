/** `locks` of gatehouse.yaml. */
import { z } from 'zod'

import { inputFile } from '../fields.ts'

export const locks = z
  .strictObject({
    file: inputFile('locks, a Locks file', { reload: 'locks' }).optional(),
    administrators: z
      .strictObject({
        users: z
          .array(z.string().min(1, 'is empty'))
          .default([])
          .describe('users, with the prefix of their issuer; must be a list of names'),
        groups: z
          .array(z.string().min(1, 'is empty'))
          .default([])
          .describe('groups, with the prefix of their issuer; must be a list of names'),
      })
      .describe(
        'Who may set, lift and list locks with `gatehouse lock`, `unlock` and `locks`. Nobody by default.',
      )
      .prefault({}),
  })
  .describe(
    'Users, groups, certificates, tokens and addresses that are locked: their requests are refused ' +
      '(403), and their streams end.',
  )
