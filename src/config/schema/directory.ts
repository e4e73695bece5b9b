/** Directories: an item of `authentication.issuedCertificates.directories`, and `groupSource.ldap` of an issuer. */
import { FilterParser } from 'ldapts'
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, count, flag, inputFile } from '../fields.ts'
import { methodDisplayName, methodName } from './sign-in-fields.ts'

export const ISSUING_CA = { reload: 'issued certificates' }

const attribute = (meaning: string) =>
  z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,127}$/, 'is not the name of an attribute')
    .describe(`${meaning}; must be the name of an attribute`)

const dn = (meaning: string) =>
  z.string().min(1, 'is empty').describe(`${meaning}; must be a distinguished name`)

const prefix = (meaning: string) =>
  z
    .string()
    .min(1, 'is empty')
    .max(128, 'is too long')
    .refine((text) => !text.toLowerCase().startsWith('system:'), 'is reserved for Kubernetes')
    .describe(`${meaning}; must be a text such as "ldap:"`)

const server = z
  .string()
  .refine(isServer, { error: ({ input }) => `${JSON.stringify(input)} is not an LDAP URL` })
  .describe('a server; must be ldaps:// or, with startTLS, ldap://, a host and perhaps a port')

function isServer(text: string): boolean {
  const url = URL.parse(text)
  return (
    (url?.protocol === 'ldaps:' || url?.protocol === 'ldap:') &&
    url.hostname !== '' &&
    [url.pathname, url.search, url.hash, url.username, url.password].every(
      (part) => part === '' || part === '/',
    )
  )
}

/** RFC 4515. */
function isFilter(text: string): boolean {
  try {
    FilterParser.parseString(text.replaceAll('{username}', 'x'))
    return true
  } catch {
    return false
  }
}

const servers = z
  .array(server)
  .min(1, 'is empty')
  .meta({
    description:
      'servers of the directory. The next one is asked if one cannot be reached; must be a list of LDAP URLs',
    examples: [['ldaps://ldap1.example.com', 'ldaps://ldap2.example.com']],
  })

const startTLS = flag('whether ldap:// is upgraded to TLS. Plain LDAP is never used').default(false)

const bindDN = dn('the service account that searches for users and groups')

const PASSWORD = 'its password'

/** How the entry of a user is found. */
const userSearch = (name: string) => ({
  baseDN: dn('where users are'),
  filter: z
    .string()
    .refine((text) => text.includes('{username}'), 'does not contain {username}')
    .refine(isFilter, 'is not an LDAP filter')
    .describe(
      `finds a user. {username} is ${name}, escaped; must be an LDAP filter with {username}`,
    )
    .default('(uid={username})'),
})

const groupSearch = z
  .strictObject({
    baseDN: dn('where groups are'),
    memberAttribute: attribute('what names the members of a group by DN').default('member'),
    nameAttribute: attribute('what the name of a group is read from').default('cn'),
    nested: choice(
      'whether groups may be members of groups. activeDirectory: the directory finds them ' +
        '(LDAP_MATCHING_RULE_IN_CHAIN). walk: Gatehouse does, up to ten deep',
      ['none', 'activeDirectory', 'walk'],
    ).default('none'),
  })
  .describe('How the groups of a user are found.')

/** A source of groups. */
export const directoryOfGroups = (use: { readonly reload: string }) =>
  z
    .strictObject({
      ...{ servers, startTLS, bindDN, bindPasswordFile: inputFile(PASSWORD, use) },
      users: z
        .strictObject(userSearch('the value of userClaim'))
        .describe('How users are found. A user who is not found alone is refused.'),
      groups: groupSearch,
    })
    .describe(
      'LDAP or Active Directory. Set userClaim to a claim whose value users cannot choose, and ' +
        'certificateAuthorityFile to the CA of the servers.',
    )

export const directory = z
  .strictObject({
    name: methodName,
    displayName: methodDisplayName,
    servers,
    startTLS,
    caFile: inputFile('the CA of the servers, a PEM bundle', ISSUING_CA),
    timeout: duration('how long connecting and each operation may take').default(5_000),
    bindDN,
    bindPasswordFile: inputFile(PASSWORD, ISSUING_CA),
    users: z
      .strictObject({
        ...userSearch('what was typed'),
        usernameAttribute: attribute('what the user name is read from').default('uid'),
        uidAttribute: attribute('what the UID is read from. If unset, users have none').optional(),
      })
      .describe('How users are found. Only a user who is found alone can sign in.'),
    groups: groupSearch
      .describe('How the groups of a user are found. If unset, users have none.')
      .optional(),
    usernamePrefix: prefix('begins the names of its users, which no other source may give'),
    groupPrefix: prefix('begins the names of its groups, which no other source may give'),
    attempts: z
      .strictObject({
        perUser: count('failed passwords of one user, from all addresses', 1_000).default(3),
        perUserAndAddress: count(
          'failed passwords of one user from one address. If unset, one less than perUser, and at least 1',
          1_000,
        ).optional(),
        perAddress: count('failed sign-ins of one address', 10_000).default(20),
        window: duration('the period in which they are counted').default(1_800_000),
      })
      .describe(
        'How often a sign-in may fail before more are refused (429), at one replica. Keep perUser times ' +
          'the number of replicas below the lock-out of the directory, and window above its period.',
      )
      .prefault({}),
  })
  .describe('A directory (LDAP or Active Directory) whose users sign in with their password.')
