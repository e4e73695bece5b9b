/** Signs users in at a directory: finds them, binds as them, and finds their groups. */
import { ResultCodeError } from 'ldapts'

import type { LdapClient } from './client.ts'
import {
  connectServer,
  DirectoryUnavailable,
  openDirectory,
  type OpenDirectory,
} from './connection.ts'
import type { DirectoryOptions, DirectorySecrets, DirectoryUser } from './options.ts'
import { REJECTIONS, ServiceAccountRejected } from './rejections.ts'
import type { Entry } from './response.ts'
import {
  asKnown,
  findUser,
  groupsOf,
  isNoUsername,
  quoted,
  UserUnusable,
  valuesOf,
} from './search.ts'
import { createTurns } from './turns.ts'

export interface Directory {
  /**
   * Checks a password. The password is in no error, and is not kept.
   *
   * @param username as the user has typed it
   * @throws DirectoryRefused when the directory does not know the user, or rejects the password
   * @throws UserUnusable when the password is right, but the user or the groups cannot be taken over
   * @throws DirectoryUnavailable when no server can be asked
   */
  signIn(username: string, password: string, attempt: Attempt): Promise<DirectoryUser>
}

/** Who learns how far a sign-in has come. */
export interface Attempt {
  /**
   * The password is about to be tried for the user of this DN; undefined when it will not be, because there is
   * no such user, or several. Throws to refuse the attempt.
   */
  admit(dn: string | undefined): void
  /** The password is right, whatever follows. */
  accepted(): void
}

/** The directory has decided: not this user with this password. */
export class DirectoryRefused extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'DirectoryRefused'
  }
}

const MAX_PASSWORD = 1_024
const MAX_GROUPS = 1_000
/**
 * Sign-ins at once, with two connections each, and those that wait: anybody can have one begin, and a directory
 * may be slow.
 */
const MAX_RUNNING = 16
const MAX_WAITING = 256

/** A service account that was rejected, and with what. */
interface Rejection {
  readonly secrets: DirectorySecrets
  readonly message: string
  readonly until: number
}

/**
 * Creates the directory; nothing is connected before a sign-in, and nothing stays connected after it.
 *
 * @param secrets other ones are another object
 * @param now milliseconds of a monotonic clock
 */
export function createDirectory(
  options: DirectoryOptions,
  secrets: () => DirectorySecrets,
  now = () => performance.now(),
): Directory {
  const turns = createTurns(MAX_RUNNING)
  let rejection: Rejection | undefined

  /** Anybody can have a sign-in begin, and a directory locks an account after a few failures. */
  async function open(current: DirectorySecrets): Promise<OpenDirectory> {
    if (rejection?.secrets === current && now() < rejection.until) {
      throw new DirectoryUnavailable(rejection.message)
    }
    try {
      return await openDirectory(options, current)
    } catch (error) {
      if (!(error instanceof ServiceAccountRejected)) throw error
      const { message, retryAfter } = error
      rejection = { secrets: current, message, until: now() + retryAfter }
      throw new DirectoryUnavailable(message, { cause: error })
    }
  }

  const { users, groups } = options
  const { usernameAttribute, uidAttribute } = users
  const attributes = [usernameAttribute, ...(uidAttribute === undefined ? [] : [uidAttribute])]
  async function signIn(
    username: string,
    password: string,
    attempt: Attempt,
  ): Promise<DirectoryUser> {
    const current = secrets()
    const { server, client } = await open(current)
    try {
      const entry = await findUser(client, username, users, attributes)
      attempt.admit(typeof entry === 'string' ? undefined : entry.dn)
      if (typeof entry === 'string') throw new DirectoryRefused(entry)
      const { dn } = entry
      await checkPassword(dn, password, await connectServer(server, options, current))
      attempt.accepted()
      // Not before: what is wrong with a user is nothing for a client without the password.
      const identity = identityOf(entry, options)
      if (groups === undefined) return { ...identity, groups: [] }
      return { ...identity, groups: await groupsOf(client, dn, groups, MAX_GROUPS) }
    } catch (error) {
      throw asKnown(error, server)
    } finally {
      client.close()
    }
  }

  return {
    async signIn(username, password, attempt) {
      checkTyped(username, password)
      if (turns.waiting >= MAX_WAITING) {
        throw new DirectoryUnavailable(`${MAX_WAITING} sign-ins wait for the directory`)
      }
      return turns.take(() => signIn(username, password, attempt))
    },
  }
}

function checkTyped(username: string, password: string): void {
  if (isNoUsername(username)) {
    throw new DirectoryRefused('the user name is empty, too long, or has control characters')
  }
  // RFC 4513 section 5.1.2: a bind without a password succeeds, as an anonymous one.
  if (password === '' || password.length > MAX_PASSWORD || password.includes('\0')) {
    throw new DirectoryRefused('the password is empty, too long, or has a NUL character')
  }
}

function identityOf(
  entry: Entry,
  { users: { usernameAttribute, uidAttribute } }: DirectoryOptions,
): Pick<DirectoryUser, 'dn' | 'username' | 'uid'> {
  return {
    dn: entry.dn,
    // The directory's own spelling: it compares without regard to case, and rules do not.
    username: oneValue(entry, usernameAttribute),
    uid: uidAttribute === undefined ? '' : oneValue(entry, uidAttribute),
  }
}

async function checkPassword(dn: string, password: string, client: LdapClient): Promise<void> {
  try {
    await client.bind(dn, password)
  } catch (error) {
    if (error instanceof ResultCodeError && REJECTIONS.has(error.code)) {
      throw new DirectoryRefused(`the directory rejects the password of ${quoted({ dn })}`)
    }
    throw error
  } finally {
    client.close()
  }
}

function oneValue(entry: Entry, attribute: string): string {
  const [value, ...others] = valuesOf(entry, attribute)
  if (value !== undefined && others.length === 0) return value
  throw new UserUnusable(`the attribute ${attribute} of ${quoted(entry)} has several values`)
}
