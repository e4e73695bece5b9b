/** What can be locked, and what the user of a locked credential reads. */
import { StatusError } from '../status.ts'

/** The fields that name the target of a lock, in the lock file and in the API. */
export const LOCK_TARGETS = [
  'user',
  'group',
  'certificateSerial',
  'tokenID',
  'address',
  'disabledAccount',
] as const
export type LockTarget = (typeof LOCK_TARGETS)[number]

export interface Lock {
  readonly target: LockTarget
  /** Exact; of a serial number in the form of `normalSerial`, of an address also a network. */
  readonly name: string
  /** One line that the locked user reads. */
  readonly reason: string
  /** Milliseconds since the epoch; undefined: until somebody lifts it. */
  readonly until: number | undefined
  /** The user who set it; undefined for a lock of the lock file. */
  readonly actor: string | undefined
}

/** Names a lock in refusals and audit events, such as `user "oidc:ada"`. */
export function describeLock({ target, name }: Pick<Lock, 'target' | 'name'>): string {
  switch (target) {
    case 'user':
    case 'group':
      return `${target} ${JSON.stringify(name)}`
    case 'certificateSerial':
      return `the certificate with the serial number ${name}`
    case 'tokenID':
      return `the token with the ID ${JSON.stringify(name)}`
    case 'address':
      return `the address ${name}`
    case 'disabledAccount':
      return `the disabled account ${JSON.stringify(name)}`
  }
}

/**
 * The name of an account for a lock: the issuer, which has no space, and the user's `sub` there. Only security
 * events lock accounts.
 */
export function accountName(issuer: string, subject: string): string {
  return `${issuer} ${subject}`
}

/** @param doubt why the lock applies although its target is not certain */
export function lockRefusal(lock: Lock, doubt?: string): StatusError {
  const what = describeLock(lock)
  const until = lock.until === undefined ? '' : ` until ${new Date(lock.until).toISOString()}`
  const because = doubt === undefined ? '' : `, and ${doubt}`
  return new StatusError('Forbidden', `${what} is locked${until}${because}: ${lock.reason}`, {
    lock: what,
  })
}

/** The hexadecimal digits of a serial number, as `openssl x509 -serial` prints them, in lower case. */
export function normalSerial(serial: string): string {
  const digits = serial.toLowerCase().replaceAll(':', '')
  return digits.replace(/^0+(?=.)/, '')
}
