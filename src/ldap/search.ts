/** Finds users and their groups in a directory, on a connection that is bound. */
import {
  EqualityFilter,
  ExtensibleFilter,
  Filter,
  OrFilter,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts'

import { MalformedResponse } from './ber.ts'
import type { LdapClient } from './client.ts'
import { DirectoryUnavailable } from './connection.ts'
import type { DirectoryOptions } from './options.ts'
import { utf8, type Entry } from './response.ts'

/** The directory does not say clearly who a user is, or in which groups. */
export class UserUnusable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UserUnusable'
  }
}

export type UsersOptions = Pick<DirectoryOptions['users'], 'baseDN' | 'filter'>
export type GroupsOptions = NonNullable<DirectoryOptions['groups']>

export const NO_SUCH_USER = 'the directory has no such user'

const MAX_USERNAME = 256
/** Characters of a DN. */
const MAX_SHOWN = 200
/** Groups in groups in groups; a cycle ends by itself. */
const MAX_DEPTH = 10
/** Members whose groups one search finds. */
const MAX_MEMBERS = 100
const PAGE_SIZE = 500
/** LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS] section 3.1.1.3.4.4): the directory walks groups in groups. */
const IN_CHAIN = '1.2.840.113556.1.4.1941'
// eslint-disable-next-line no-control-regex -- the expression finds them
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** Whether no directory has a user of this name. */
export function isNoUsername(username: string): boolean {
  return username === '' || username.length > MAX_USERNAME || CONTROL.test(username)
}

/**
 * Finds the entry of a user, with attributes.
 *
 * @param username is escaped in the filter
 * @returns the entry, or why there is none
 */
export async function findUser(
  client: LdapClient,
  username: string,
  { baseDN, filter }: UsersOptions,
  attributes: readonly string[],
): Promise<Entry | string> {
  const found = client.search({
    baseDN,
    filter: filter.replaceAll('{username}', () => Filter.escape(username)),
    attributes,
    sizeLimit: 2,
  })
  const entries = await all(found)
  // Of a search that was cut off, even one entry may be one of several.
  if (entries === 'cut off' || entries.length > 1) return 'the directory has several such users'
  const [entry] = entries
  if (entry === undefined) return NO_SUCH_USER
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

/**
 * Finds the names of the groups of a user.
 *
 * @throws UserUnusable when they are too many, nested too deep, cut off, or one of them has no name
 */
export async function groupsOf(
  client: LdapClient,
  dn: string,
  options: GroupsOptions,
  maxGroups: number,
): Promise<readonly string[]> {
  const names = new Set<string>()
  const seen = new Set<string>()
  let level = [dn]
  for (let depth = 0; level.length > 0 && depth < MAX_DEPTH; depth++) {
    const next: string[] = []
    for (let i = 0; i < level.length; i += MAX_MEMBERS) {
      for await (const entry of groupsWith(client, level.slice(i, i + MAX_MEMBERS), options)) {
        if (seen.has(entry.dn)) continue
        seen.add(entry.dn)
        if (seen.size > maxGroups) {
          throw new UserUnusable(`the user is in more than ${maxGroups} groups`)
        }
        for (const name of valuesOf(entry, options.nameAttribute)) names.add(name)
        next.push(entry.dn)
      }
    }
    level = options.nested === 'walk' ? next : []
  }
  if (level.length > 0) throw new UserUnusable(`groups are nested more than ${MAX_DEPTH} deep`)
  return [...names]
}

/** Finds the groups that have one or more of the members. */
async function* groupsWith(
  client: LdapClient,
  members: readonly string[],
  { baseDN, memberAttribute, nameAttribute, nested }: GroupsOptions,
): AsyncIterable<Entry> {
  const filters = members.map((value) =>
    nested === 'activeDirectory'
      ? new ExtensibleFilter({ matchType: memberAttribute, rule: IN_CHAIN, value })
      : new EqualityFilter({ attribute: memberAttribute, value }),
  )
  const filter = new OrFilter({ filters })
  try {
    yield* client.search({ baseDN, filter, attributes: [nameAttribute], pageSize: PAGE_SIZE })
  } catch (error) {
    if (!(error instanceof SizeLimitExceededError)) throw error
    // A group that is not known could be one that a rule denies.
    throw new UserUnusable(
      'the directory cut off the search for groups (LDAP result 4): raise the size limit of the service account',
    )
  }
}

/**
 * Reads the texts of an attribute.
 *
 * @throws UserUnusable without any, and for one that is empty or not UTF-8: another name could take its place
 */
export function valuesOf(entry: Entry, attribute: string): readonly string[] {
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

/** For a log. A DN may be as long as a message of the directory. */
export function quoted({ dn }: Pick<Entry, 'dn'>): string {
  return JSON.stringify(dn.length > MAX_SHOWN ? `${dn.slice(0, MAX_SHOWN)}…` : dn)
}

/** Whatever else is thrown is about the server, or the connection to it. */
export function asKnown(error: unknown, server: string): unknown {
  if (error instanceof ResultCodeError) {
    return new DirectoryUnavailable(`${server}: LDAP result ${error.code}: ${error.name}`)
  }
  if (!(error instanceof Error)) return error
  if (error.constructor !== Error && !(error instanceof MalformedResponse)) return error
  return new DirectoryUnavailable(`${server}: ${error.message}`)
}
