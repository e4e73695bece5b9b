/** Signs users of a directory in by their passwords, and counts the attempts. */
import type { Authentication, UserInfo } from '../authentication/authenticator.ts'
import { SOURCE_ANNOTATION } from '../authentication/issued/issued.ts'
import { createAttempts } from '../ldap/attempts.ts'
import { DirectoryUnavailable } from '../ldap/connection.ts'
import { DirectoryRefused, type Directory } from '../ldap/directory.ts'
import { UserUnusable } from '../ldap/search.ts'
import { createUserAttempts } from '../ldap/user-attempts.ts'
import { StatusError } from '../status.ts'

export interface DirectorySignInOptions {
  readonly name: string
  readonly usernamePrefix: string
  readonly groupPrefix: string
  readonly attempts: {
    readonly perUser: number
    /** One less than `perUser` if unset, and at least 1. */
    readonly perUserAndAddress?: number | undefined
    readonly perAddress: number
    /** Milliseconds. */
    readonly window: number
  }
}

export interface DirectorySignInEffects {
  readonly directory: Directory
  /**
   * The user as it may be asserted.
   *
   * @throws StatusError 403 for an identity that must not be asserted
   */
  readonly guard: (user: UserInfo) => UserInfo
  /** Makes one key of an address. */
  readonly addressKey: (address: string) => string
  readonly onUnavailable: (problem: string) => void
  /** A user has the right password, but cannot sign in. */
  readonly onUnusable: (problem: string) => void
  /** A sign-in was refused because too many have failed; it has no other result. */
  readonly onLimit: () => void
  /** `failed`: the directory could not decide. */
  readonly onResult: (result: 'ok' | 'refused' | 'failed') => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/**
 * Signs a user in.
 *
 * @throws StatusError 401 when the directory rejects the password, 403 when it accepts the password of a user
 * whose entry cannot be used or who must not be asserted, 429 after too many attempts, 503 when no server can
 * be asked
 */
export type DirectorySignIn = (
  username: string,
  password: string,
  remoteAddress: string,
) => Promise<Authentication>

const MAX_KEYS = 20_000
/** Of a directory, by the name after `ldap:`. */
export const LDAP_SOURCE = 'ldap:'
export const LDAP_METHOD = 'ldap'

/** Creates the sign-in at one directory. */
export function createDirectorySignIn(
  { name, usernamePrefix, groupPrefix, attempts }: DirectorySignInOptions,
  effects: DirectorySignInEffects,
): DirectorySignIn {
  const { directory, guard, addressKey, onUnavailable, onUnusable, onLimit, onResult, now } =
    effects
  const { perUser, perUserAndAddress = Math.max(1, perUser - 1), perAddress, window } = attempts
  const perUserLimits = { perUser, perUserAndAddress, window, maxKeys: MAX_KEYS }
  const users = createUserAttempts(perUserLimits)
  // Counted like users, so that a refusal (429) does not say who exists; and apart from them, so that invented
  // names cannot displace the attempts of users.
  const unknown = createUserAttempts(perUserLimits)
  const addresses = createAttempts({ max: perAddress, window, maxKeys: MAX_KEYS })

  function counted(undo: (() => void) | undefined): () => void {
    if (undo !== undefined) return undo
    onLimit()
    throw new StatusError(
      'TooManyRequests',
      'too many sign-ins have failed: try again later, or ask your Gatehouse administrator',
      { headers: { 'Retry-After': String(Math.ceil(window / 1_000)) } },
    )
  }

  async function signIn(
    username: string,
    password: string,
    remoteAddress: string,
  ): Promise<Authentication> {
    const address = addressKey(remoteAddress)
    const undo = [counted(addresses.begin(address, performance.now()))]
    try {
      const found = await directory.signIn(username, password, {
        admit(dn) {
          // The directory's own key of the user: what was typed has many spellings.
          const attempt =
            dn === undefined
              ? unknown.begin(asTyped(username), address, performance.now())
              : users.begin(dn.toLowerCase(), address, performance.now())
          undo.push(counted(attempt))
        },
        accepted() {
          for (const each of undo) each()
        },
      })
      const user = guard({
        username: usernamePrefix + found.username,
        uid: found.uid,
        groups: found.groups.map((group) => groupPrefix + group),
        extra: {},
      })
      return {
        user,
        method: LDAP_METHOD,
        annotations: { [SOURCE_ANNOTATION]: LDAP_SOURCE + name },
        signedInAt: now(),
      }
    } catch (error) {
      if (error instanceof DirectoryRefused) {
        throw new StatusError('Unauthorized', 'the user name or the password is wrong', {
          cause: new Error(`${name}: ${error.message}`),
        })
      }
      if (error instanceof UserUnusable) {
        onUnusable(error.message)
        throw new StatusError(
          'Forbidden',
          'the directory accepts the password, but what it says of your account cannot be used: contact your Gatehouse administrator',
          { cause: new Error(`${name}: ${error.message}`) },
        )
      }
      if (!(error instanceof DirectoryUnavailable)) throw error
      // It may have counted the attempt all the same, so only that of the address is taken back.
      undo[0]?.()
      onUnavailable(error.message)
      throw new StatusError(
        'ServiceUnavailable',
        'the directory cannot be reached: try again later, or contact your Gatehouse administrator',
        { cause: error },
      )
    }
  }

  return async (...typed) => {
    try {
      const authentication = await signIn(...typed)
      onResult('ok')
      return authentication
    } catch (error) {
      const code = error instanceof StatusError ? error.code : 500
      if (code !== 429) onResult(code < 500 ? 'refused' : 'failed')
      throw error
    }
  }
}

/** One key for spellings that a directory would take for the same name (RFC 4518, roughly). */
function asTyped(username: string): string {
  return username.normalize('NFKC').toLowerCase().trim().replaceAll(/\s+/g, ' ')
}
