/** `authentication.issuedCertificates` of gatehouse.yaml. */
import { isAbsolute } from 'node:path'

import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, count, flag, inputFile, rate } from '../fields.ts'

const ISSUING_CA = { reload: 'issued certificates' }

const signCommand = z
  .strictObject({
    command: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .refine(([program = '']) => isAbsolute(program), 'does not begin with /')
      .meta({
        description:
          'the program and its arguments. It is started without a shell, with one more argument that says ' +
          'how to sign: ecdsa-sha256, ecdsa-sha384, ecdsa-sha512, rsa-sha256 or ed25519. Its standard ' +
          'input is the DER of what is to be signed (TBSCertificate). It must print the signature, of ' +
          'ECDSA in DER, as base64; must be a list whose first item begins with /',
        examples: [['/usr/local/bin/sign-with-kms', 'alias/gatehouse']],
      }),
    timeout: duration('how long it may take').default(5_000),
  })
  .describe(
    'In place of privateKeyFile: a program that signs with a key that it does not hand out, as of a KMS.',
  )

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

const directory = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not a name')
      .describe(
        'what users write after --method; must be lower-case letters, digits and "-", at most 63',
      ),
    displayName: z.string().max(128).optional().describe('name for people; must be a string'),
    servers: z
      .array(server)
      .min(1, 'is empty')
      .meta({
        description:
          'servers of the directory. The next one is asked if one cannot be reached; must be a list of LDAP URLs',
        examples: [['ldaps://ldap1.example.com', 'ldaps://ldap2.example.com']],
      }),
    startTLS: flag('whether ldap:// is upgraded to TLS. Plain LDAP is never used').default(false),
    caFile: inputFile('the CA of the servers, a PEM bundle', ISSUING_CA),
    timeout: duration('how long connecting and each operation may take').default(5_000),
    bindDN: dn('the service account that searches for users and groups'),
    bindPasswordFile: inputFile('its password', ISSUING_CA),
    users: z
      .strictObject({
        baseDN: dn('where users are'),
        filter: z
          .string()
          .refine((text) => text.includes('{username}'), 'does not contain {username}')
          .describe(
            'finds a user. {username} is what was typed, escaped; must be an LDAP filter with {username}',
          )
          .default('(uid={username})'),
        usernameAttribute: attribute('what the user name is read from').default('uid'),
        uidAttribute: attribute('what the UID is read from. If unset, users have none').optional(),
      })
      .describe('How users are found. Only a user who is found alone can sign in.'),
    groups: z
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
      .describe('How the groups of a user are found. If unset, users have none.')
      .optional(),
    usernamePrefix: prefix('begins the names of its users, which no other source may give'),
    groupPrefix: prefix('begins the names of its groups, which no other source may give'),
    attempts: z
      .strictObject({
        perUser: count('failed passwords of one user', 1_000).default(3),
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

export const issuedCertificates = z
  .strictObject({
    caFile: inputFile(
      'the CA that signs, PEM. Certificates behind the first are those of earlier CAs, whose certificates ' +
        'are still accepted. It must be a CA of Gatehouse alone, which the API server does not trust',
      ISSUING_CA,
    ),
    privateKeyFile: inputFile('the private key of the CA', ISSUING_CA).optional(),
    signCommand: signCommand.optional(),
    issuers: z
      .array(z.string().min(1, 'is empty'))
      .default([])
      .meta({
        description:
          'issuers at which a sign-in is enough for a certificate. Their ID tokens must have auth_time; ' +
          'must be a list of urls of issuers in configFile',
        examples: [['https://login.example.com/realms/company']],
      }),
    directories: z
      .array(directory)
      .default([])
      .describe(
        'directories (LDAP, Active Directory) whose users get certificates for their passwords: ' +
          '`gatehouse login --method NAME`; must be a list of directories',
      ),
    maxLifetime: duration('how long a certificate is valid, at most')
      .refine(
        (milliseconds) => milliseconds >= 60_000 && milliseconds <= 86_400_000,
        'is not between 1m and 24h',
      )
      .default(3_600_000),
    maxSignInAge: duration(
      'how long a sign-in is good for certificates. None is issued later than this after the user has ' +
        'signed in, and every certificate ends then',
    )
      .refine(
        (milliseconds) => milliseconds >= 300_000 && milliseconds <= 604_800_000,
        'is not between 5m and 168h',
      )
      .default(28_800_000),
    perUser: z
      .strictObject({
        requestsPerSecond: rate('refill rate, in certificates per second').default(0.05),
        burst: count('certificates at once').default(20),
      })
      .describe(
        'How many certificates one user gets from one replica. The others are refused (429).',
      )
      .prefault({}),
  })
  .describe(
    'Short-lived client certificates that Gatehouse issues after a sign-in, for programs that know no ' +
      'other credential (`gatehouse login --certificate`).',
  )
