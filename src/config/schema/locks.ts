/** `locks` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, inputFile } from '../fields.ts'

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
    maxStaleness: duration(
      'how long a replica relies on the locks that it last read while Redis cannot be used',
    ).default(600_000),
    onStale: choice(
      'what happens after `maxStaleness`. keep: the locks that were read last stay in force, and ' +
        '`gatehouse_locks_age_seconds` shows it. refuse: all new requests are refused (503)',
      ['keep', 'refuse'],
    ).default('keep'),
  })
  .describe(
    'Users, groups, certificates, tokens and addresses that are locked: their requests are refused ' +
      '(403), and their streams end.',
  )
