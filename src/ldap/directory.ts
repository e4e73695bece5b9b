/** Signs users in at a directory: finds them, binds as them, and finds their groups. */
import {
  EqualityFilter,
  ExtensibleFilter,
  Filter,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts'

import { MalformedResponse } from './ber.ts'
import type { LdapClient } from './client.ts'
import { connectServer, DirectoryUnavailable, openDirectory } from './connection.ts'
import type { DirectoryOptions, DirectorySecrets, DirectoryUser } from './options.ts'
import { utf8, type Entry } from './response.ts'

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

/** The password is right, but the directory does not say clearly who the user is, or in which groups. */
export class UserUnusable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UserUnusable'
  }
}

const MAX_USERNAME = 256
const MAX_PASSWORD = 1_024
const MAX_GROUPS = 1_000
/** Groups in groups in groups; a cycle ends by itself. */
const MAX_DEPTH = 10
const PAGE_SIZE = 500
/** LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS] section 3.1.1.3.4.4): the directory walks groups in groups. */
const IN_CHAIN = '1.2.840.113556.1.4.1941'
/**
 * Result codes (RFC 4511 appendix A) by which a directory rejects the user rather than fails: constraint
 * violation (a lock-out), inappropriate authentication, invalid credentials, insufficient access, unwilling.
 */
export const REJECTIONS: ReadonlySet<number> = new Set([19, 48, 49, 50, 53])
// eslint-disable-next-line no-control-regex -- the expression finds them
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** Creates the directory; nothing is connected before a sign-in, and nothing stays connected after it. */
export function createDirectory(
  options: DirectoryOptions,
  secrets: () => DirectorySecrets,
): Directory {
  return {
    async signIn(username, password, attempt) {
      checkTyped(username, password)
      const current = secrets()
      const { server, client } = await openDirectory(options, current)
      try {
        const entry = await findUser(client, username, options)
        attempt.admit(typeof entry === 'string' ? undefined : entry.dn)
        if (typeof entry === 'string') throw new DirectoryRefused(entry)
        const { dn } = entry
        await checkPassword(dn, password, await connectServer(server, options, current))
        attempt.accepted()
        // Not before: what is wrong with a user is nothing for a client without the password.
        return { ...identityOf(entry, options), groups: await groupsOf(client, dn, options) }
      } catch (error) {
        if (error instanceof ResultCodeError) {
          throw new DirectoryUnavailable(`${server}: LDAP result ${error.code}: ${error.name}`)
        }
        throw asKnown(error, server)
      } finally {
        client.close()
      }
    },
  }
}

/** Other plain errors are about the connection. */
function asKnown(error: unknown, server: string): unknown {
  if (!(error instanceof Error)) return error
  if (error.constructor !== Error && !(error instanceof MalformedResponse)) return error
  return new DirectoryUnavailable(`${server}: ${error.message}`)
}

function checkTyped(username: string, password: string): void {
  if (username === '' || username.length > MAX_USERNAME || CONTROL.test(username)) {
    throw new DirectoryRefused('the user name is empty, too long, or has control characters')
  }
  // RFC 4513 section 5.1.2: a bind without a password succeeds, as an anonymous one.
  if (password === '' || password.length > MAX_PASSWORD || password.includes('\0')) {
    throw new DirectoryRefused('the password is empty, too long, or has a NUL character')
  }
}

/** @returns the entry, or why there is none */
async function findUser(
  client: LdapClient,
  typed: string,
  { users: { baseDN, filter, usernameAttribute, uidAttribute } }: DirectoryOptions,
): Promise<Entry | string> {
  const found = client.search({
    baseDN,
    filter: filter.replaceAll('{username}', () => Filter.escape(typed)),
    attributes: [usernameAttribute, ...(uidAttribute === undefined ? [] : [uidAttribute])],
    sizeLimit: 2,
  })
  const entries = await all(found)
  // Of a search that was cut off, even one entry may be one of several.
  if (entries === 'cut off' || entries.length > 1) return 'the directory has several such users'
  const [entry] = entries
  if (entry === undefined) return 'the directory has no such user'
  return entry.dn === '' ? 'the user has an empty DN' : entry
}

/** Collects what a search finds, if it is all that there is. */
async function all(found: AsyncIterable<Entry>): Promise<readonly Entry[] | 'cut off'> {
  const entries: Entry[] = []
  try {
    for await (const entry of found) entries.push(entry)
    return entries
  } catch (error) {
    if (error instanceof SizeLimitExceededError) return 'cut off'
    throw error
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
      throw new DirectoryRefused(`the directory rejects the password of ${JSON.stringify(dn)}`)
    }
    throw error
  } finally {
    client.close()
  }
}

async function groupsOf(
  client: LdapClient,
  dn: string,
  { groups: options }: DirectoryOptions,
): Promise<readonly string[]> {
  if (options === undefined) return []
  const names = new Set<string>()
  const seen = new Set<string>()
  let level = [dn]
  for (let depth = 0; level.length > 0 && depth < MAX_DEPTH; depth++) {
    const next: string[] = []
    for (const member of level) {
      for (const entry of await groupsWith(client, member, options)) {
        if (seen.has(entry.dn)) continue
        seen.add(entry.dn)
        for (const name of valuesOf(entry, options.nameAttribute)) names.add(name)
        next.push(entry.dn)
      }
      if (seen.size > MAX_GROUPS) {
        throw new UserUnusable(`the user is in more than ${MAX_GROUPS} groups`)
      }
    }
    level = options.nested === 'walk' ? next : []
  }
  if (level.length > 0) throw new UserUnusable(`groups are nested more than ${MAX_DEPTH} deep`)
  return [...names]
}

async function groupsWith(
  client: LdapClient,
  member: string,
  { baseDN, memberAttribute, nameAttribute, nested }: NonNullable<DirectoryOptions['groups']>,
): Promise<readonly Entry[]> {
  const filter =
    nested === 'activeDirectory'
      ? new ExtensibleFilter({ matchType: memberAttribute, rule: IN_CHAIN, value: member })
      : new EqualityFilter({ attribute: memberAttribute, value: member })
  const entries = await all(
    client.search({ baseDN, filter, attributes: [nameAttribute], pageSize: PAGE_SIZE }),
  )
  if (entries !== 'cut off') return entries
  // A group that is not known could be one that a rule denies.
  throw new UserUnusable(
    'the directory cut off the search for groups (LDAP result 4): raise the size limit of the service account',
  )
}

function oneValue(entry: Entry, attribute: string): string {
  const [value, ...others] = valuesOf(entry, attribute)
  if (value !== undefined && others.length === 0) return value
  throw new UserUnusable(`the attribute ${attribute} of ${quoted(entry)} has several values`)
}

/**
 * Reads the texts of an attribute.
 *
 * @throws UserUnusable without any, and for one that is empty or not UTF-8: another name could take its place
 */
function valuesOf(entry: Entry, attribute: string): readonly string[] {
  const values = entry.attributes.get(attribute.toLowerCase()) ?? []
  const of = `the attribute ${attribute} of ${quoted(entry)}`
  if (values.length === 0) throw new UserUnusable(`${of} has no value`)
  return values.map((value) => {
    if (value.length === 0) throw new UserUnusable(`${of} is empty`)
    try {
      return utf8(value)
    } catch {
      throw new UserUnusable(`${of} is not UTF-8`)
    }
  })
}

const quoted = ({ dn }: Entry): string => JSON.stringify(dn)
