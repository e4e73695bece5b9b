/** How a directory says that it rejects who binds. */
import type { ResultCodeError } from 'ldapts'

/**
 * Result codes (RFC 4511 appendix A) by which a directory rejects the user rather than fails: constraint
 * violation (a lock-out), inappropriate authentication, invalid credentials, insufficient access, unwilling.
 */
export const REJECTIONS: ReadonlySet<number> = new Set([19, 48, 49, 50, 53])

/** How long a rejected password is not tried again: directories lock an account after a few failures. */
const REJECTED_PAUSE_MS = 30 * 60_000

/** A server does not accept the service account. */
export class ServiceAccountRejected extends Error {
  /** Milliseconds. */
  readonly retryAfter = REJECTED_PAUSE_MS

  constructor(server: string, bindDN: string, { code, name }: ResultCodeError) {
    const account = JSON.stringify(bindDN)
    super(
      `${server} does not accept ${account} (LDAP result ${code}: ${name}); check bindPasswordFile`,
    )
    this.name = 'ServiceAccountRejected'
  }
}
