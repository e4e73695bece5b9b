/** What the names of users with client certificates are made of, for the certificates of one CA. */
import type { X509Certificate } from 'node:crypto'

import { compilePatterns } from '../../patterns.ts'
import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import { spiffeIdOf } from './spiffe-id.ts'

export interface NameOptions {
  /** `commonName`: as in kube-apiserver. `spiffeID`: the URI in the subject alternative name. */
  readonly usernameFrom: 'commonName' | 'spiffeID'
  /** For `spiffeID`. */
  readonly trustDomain?: string | undefined
  readonly usernamePrefix: string
  readonly groupPrefix: string
  /** In place of organizations. Undefined: of `commonName`, each organization is a group. */
  readonly groupMappings?: readonly GroupMapping[] | undefined
}

/** Users with one of these names, or in one of these organizations, are in these groups. */
export interface GroupMapping {
  /** Patterns for names without the prefix. */
  readonly usernames: readonly string[]
  /** Patterns. */
  readonly organizations: readonly string[]
  readonly groups: readonly string[]
}

/** As in kube-apiserver. */
export const PLAIN_NAMES: NameOptions = {
  usernameFrom: 'commonName',
  usernamePrefix: '',
  groupPrefix: '',
}

/** What begins every user name of a CA; `''` if its users may have any name. */
export function userPrefixOf({ usernameFrom, usernamePrefix, trustDomain }: NameOptions): string {
  return usernameFrom === 'spiffeID'
    ? `${usernamePrefix}spiffe://${trustDomain ?? ''}/`
    : usernamePrefix
}

/**
 * Returns the user that a certificate names.
 *
 * @param subject the user that its subject names, or throws
 */
export type CertificateNames = (certificate: X509Certificate, subject: SubjectUser) => UserInfo

export interface SubjectUser {
  /** Common name and UID. @throws StatusError 401 */
  readonly user: () => UserInfo
  readonly organizations: readonly string[]
  readonly extra: UserInfo['extra']
}

/** Makes the function for the certificates of one CA; it throws a StatusError 401. */
export function createCertificateNames(options: NameOptions): CertificateNames {
  const { usernameFrom, trustDomain = '', usernamePrefix, groupPrefix } = options
  const groupsOf = createGroups(options)
  return (certificate, subject) => {
    const named: UserInfo =
      usernameFrom === 'commonName'
        ? subject.user()
        : {
            ...{ username: readSpiffeId(certificate, trustDomain), uid: '', groups: [] },
            extra: subject.extra,
          }
    const groups = groupsOf(named.username, subject.organizations)
    return {
      ...named,
      username: usernamePrefix + named.username,
      groups: [...new Set(groups.map((group) => groupPrefix + group))],
    }
  }
}

function readSpiffeId(certificate: X509Certificate, trustDomain: string): string {
  try {
    return spiffeIdOf(certificate, trustDomain)
  } catch (error) {
    throw unauthorized(`client certificate: ${(error as Error).message}`)
  }
}

type Groups = (username: string, organizations: readonly string[]) => readonly string[]

function createGroups({ usernameFrom, groupMappings }: NameOptions): Groups {
  if (groupMappings === undefined) {
    // The subject of a certificate with a SPIFFE ID says nothing about the workload.
    return (_username, organizations) => (usernameFrom === 'commonName' ? organizations : [])
  }
  const mappings = groupMappings.map(({ usernames, organizations, groups }) => ({
    isUser: compilePatterns(usernames),
    isOrganization: compilePatterns(organizations),
    groups,
  }))
  return (username, organizations) =>
    mappings
      .filter(
        ({ isUser, isOrganization }) => isUser(username) || organizations.some(isOrganization),
      )
      .flatMap(({ groups }) => groups)
}

/** Prefixes that begin the names of one source of users. */
export interface NamePrefixes {
  readonly username: string
  readonly groups: string
}

/** The prefixes that begin the names of users of these certificates. */
export function prefixesOf(options: NameOptions): NamePrefixes {
  return { username: userPrefixOf(options), groups: options.groupPrefix }
}

/** Why a user of another source must not have this identity: a name begins with one of the prefixes. */
export function takenName(user: UserInfo, prefixes: readonly NamePrefixes[]): string | undefined {
  for (const { username, groups } of prefixes) {
    if (username !== '' && user.username.startsWith(username)) {
      return taken('user name', user.username)
    }
    const group = groups === '' ? undefined : user.groups.find((one) => one.startsWith(groups))
    if (group !== undefined) return taken('group', group)
  }
  return undefined
}

function taken(what: string, name: string): string {
  return `${what} ${quote(name)} begins with the prefix of a client CA, so only its certificates may name it`
}
