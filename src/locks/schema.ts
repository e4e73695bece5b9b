/** The lock file: locks that are kept in a repository, like rules. */
import { z } from 'zod'

import { network } from '../config/fields.ts'
import { LOCK_TARGETS, normalSerial, type Lock } from './lock.ts'

const MAX_NAME = 1_024
const MAX_REASON = 500
/** Ten years. */
const MAX_EXPIRATION_S = 10 * 366 * 86_400
// eslint-disable-next-line no-control-regex -- the expression finds them
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

const anyName = z.string().min(1, 'is empty').max(MAX_NAME, 'is too long')

const name = (meaning: string) =>
  anyName
    .refine((text) => !CONTROL.test(text) && text === text.trim(), {
      error:
        'is a name that nobody has: it begins or ends with whitespace, or has control characters',
    })
    .describe(meaning)

/** An end: a time with its zone, so that it means the same everywhere. */
const until = z.iso
  .datetime({ offset: true, error: 'is not a time' })
  .transform((text) => Date.parse(text))
  .describe(
    'when the lock ends. If unset, it holds until it is removed; must be a time such as "2026-12-31T18:00:00Z"',
  )

export const reasonSchema = z
  .string()
  .min(1, 'is empty')
  .max(MAX_REASON, 'is too long')
  .refine((text) => !CONTROL.test(text), { error: 'has more than one line' })
  .describe(
    `why, which the locked user reads; must be one line of at most ${MAX_REASON} characters`,
  )

/** Each names what is locked; a lock has one of them. */
export const targetFields = {
  user: name(
    'a user, as in audit events and with the prefix of the issuer; must be the exact name',
  ).optional(),
  group: name(
    'a group, with the prefix of the issuer. It also locks users whose token does not state its groups; must be the exact name',
  ).optional(),
  certificateSerial: z
    .string()
    .regex(/^[0-9a-f]{1,2}(?::?[0-9a-f]{2}|[0-9a-f]){0,63}$/i, 'is not a serial number')
    .transform(normalSerial)
    .describe(
      'a client certificate, by its serial number; must be hexadecimal digits, as `openssl x509 -serial` prints them',
    )
    .optional(),
  tokenID: name(
    'a token and the certificates that were issued for it, by its claim `jti`; must be the exact value, without `JTI=`',
  )
    .refine((text) => !text.startsWith('JTI='), { error: 'begins with "JTI="' })
    .optional(),
  address: network
    .describe(
      'the address of clients; must be an IP address or CIDR notation, such as 192.0.2.0/24',
    )
    .optional(),
}

const lock = z
  .strictObject({ ...targetFields, reason: reasonSchema, until: until.optional() })
  .superRefine(checkTarget)

export const locksSchema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('gatehouse/v1'),
  kind: z.literal('Locks').describe('Locks'),
  locks: z.array(lock).describe('the locks; a list, which may be empty'),
})

/** What is sent to set a lock: it ends by Gatehouse's clock, not by the client's. */
export const lockRequestSchema = z
  .strictObject({
    ...targetFields,
    reason: reasonSchema,
    expirationSeconds: z
      .int()
      .min(1)
      .max(MAX_EXPIRATION_S)
      .describe(`when the lock ends; must be a number of seconds from 1 to ${MAX_EXPIRATION_S}`)
      .optional(),
  })
  .superRefine(checkTarget)

/** What is sent to lift a lock. */
export const unlockRequestSchema = z
  .strictObject({
    ...targetFields,
    // Whatever an event has named: a lock that is there can be lifted.
    disabledAccount: anyName
      .describe(
        'an account that a security event has locked; must be the name that `gatehouse locks` shows',
      )
      .optional(),
  })
  .superRefine(checkTarget)

/** Accounts are locked by security events only. */
const SET_BY_USERS = LOCK_TARGETS.filter((target) => target !== 'disabledAccount')

type Targets = Partial<Record<(typeof LOCK_TARGETS)[number], string | undefined>>

function checkTarget(value: Targets, context: z.RefinementCtx): void {
  if (targetsOf(value).length === 1) return
  context.addIssue({
    code: 'custom',
    message: 'must name one target',
    params: { fix: `write one of ${SET_BY_USERS.join(', ')}, and one lock per target` },
  })
}

function targetsOf(value: Targets): (typeof LOCK_TARGETS)[number][] {
  return LOCK_TARGETS.filter((target) => value[target] !== undefined)
}

/** The one target that the schema has found. */
export function targetOf(value: Targets): Pick<Lock, 'target' | 'name'> {
  const [target = 'user'] = targetsOf(value)
  return { target, name: value[target] ?? '' }
}
