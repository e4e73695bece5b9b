/** Finds the groups of users in a directory, without their passwords. */
import { DirectoryUnavailable, openServer } from './connection.ts'
import type { DirectorySecrets, ServerOptions } from './options.ts'
import { ServiceAccountRejected } from './rejections.ts'
import {
  asKnown,
  findUser,
  groupsOf,
  isNoUsername,
  NO_SUCH_USER,
  UserUnusable,
  type GroupsOptions,
  type UsersOptions,
} from './search.ts'
import { createServerOrder } from './server-order.ts'
import { createTurns } from './turns.ts'

export interface GroupSearchOptions extends Omit<ServerOptions, 'timeout'> {
  /** Milliseconds for everything together, shared by the servers. */
  readonly timeout: number
  readonly users: UsersOptions
  readonly groups: GroupsOptions
  /** A user in more groups is refused. */
  readonly maxGroups: number
}

export interface GroupSearch {
  /**
   * Returns the names of all groups of a user.
   *
   * @param username escaped in the filter
   * @param signal rejects at once, and closes the connection
   * @throws UserNotFound when the directory does not have the user, UserUnusable when it does not say clearly
   * who that is or in which groups, ServiceAccountRejected or DirectoryUnavailable when no server can say
   */
  groupsOf(username: string, signal: AbortSignal): Promise<readonly string[]>
}

/** At once. So few, for a wrong password as well, which directories count. */
const MAX_CONNECTIONS = 8
/** RFC 4511 section 4.5.1.8. */
const NO_ATTRIBUTES = ['1.1']

/** The directory does not have the user. */
export class UserNotFound extends Error {
  constructor() {
    super(NO_SUCH_USER)
    this.name = 'UserNotFound'
  }
}

/** The time for one server: one that says nothing leaves time for the next one. */
export function shareOf({ timeout, servers }: ServerOptions): number {
  return Math.ceil(timeout / servers.length)
}

/** Creates the search. Each one is a connection of its own, bound as the service account. */
export function createGroupSearch(
  options: GroupSearchOptions,
  secrets: DirectorySecrets,
  { now }: { readonly now: () => number },
): GroupSearch {
  const order = createServerOrder(options.servers, { now })
  const turns = createTurns(MAX_CONNECTIONS)
  let rejection: { readonly error: Error; readonly until: number } | undefined
  const access = { ...options, timeout: shareOf(options) }

  async function askServer(
    server: string,
    username: string,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const client = await openServer(server, access, secrets)
    const stop = (): void => client.close()
    signal.addEventListener('abort', stop)
    try {
      signal.throwIfAborted()
      const entry = await findUser(client, username, options.users, NO_ATTRIBUTES)
      if (entry === NO_SUCH_USER) throw new UserNotFound()
      if (typeof entry === 'string') throw new UserUnusable(entry)
      return await groupsOf(client, entry.dn, options.groups, options.maxGroups)
    } catch (error) {
      throw asKnown(error, server)
    } finally {
      signal.removeEventListener('abort', stop)
      client.close()
    }
  }

  async function ask(username: string, signal: AbortSignal): Promise<readonly string[]> {
    const problems: string[] = []
    for (const server of order.all()) {
      signal.throwIfAborted()
      // Those who have waited for a turn would try the same password again.
      if (rejection !== undefined && now() < rejection.until) throw rejection.error
      try {
        return await askServer(server, username, signal)
      } catch (error) {
        if (error instanceof ServiceAccountRejected) {
          rejection = { error, until: now() + error.retryAfter }
        }
        if (!(error instanceof DirectoryUnavailable)) throw error
        order.failed(server)
        problems.push(error.message)
      }
    }
    throw new DirectoryUnavailable(problems.join('; '))
  }

  return {
    async groupsOf(username, signal) {
      if (isNoUsername(username)) throw new UserNotFound()
      const asked = turns.take(() => ask(username, signal))
      return untilAborted(asked, signal)
    },
  }
}

/** Waiting for a turn and connecting cannot be aborted. They end by themselves. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort)
    aborted.catch(() => undefined)
    work.catch(() => undefined)
  }
}
