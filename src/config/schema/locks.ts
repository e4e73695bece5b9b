/** `locks` of gatehouse.yaml. */
import { z } from 'zod'

import { inputFile } from '../fields.ts'

export const locks = z
  .strictObject({
    file: inputFile('locks, a Locks file', { reload: 'locks' }).optional(),
  })
  .describe(
    'Users, groups, certificates, tokens and addresses that are locked: their requests are refused ' +
      '(403), and their streams end.',
  )
