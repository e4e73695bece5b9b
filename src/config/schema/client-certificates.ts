/** `authentication.x509` of gatehouse.yaml. */
import { z } from 'zod'

import {
  choice,
  groupPattern,
  headerName,
  inputFile,
  namePrefix,
  network,
  origin,
} from '../fields.ts'

const CLIENT_CA = { reload: 'client CA' }

const namePatterns = (meaning: string) =>
  z
    .array(groupPattern)
    .default([])
    .describe(`${meaning}; must be a list of names, where "*" at the end stands for the rest`)

const clientAuthority = z.strictObject({
  caFile: inputFile('CAs whose certificates have these names, a PEM bundle', CLIENT_CA),
  usernameFrom: choice(
    'what names the user. commonName: the common name (CN). spiffeID: the SPIFFE ID, the only URI in the ' +
      'subject alternative name',
    ['commonName', 'spiffeID'],
  ).default('commonName'),
  trustDomain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, 'is not a trust domain')
    .optional()
    .describe(
      'for spiffeID: the trust domain of these CAs. IDs of another one are refused; must be a name of ' +
        'lower-case letters, digits, ".", "-" and "_"',
    ),
  usernamePrefix: namePrefix(
    'prefix of user names. Tokens and certificates of other CAs cannot name a user with it',
  ),
  groupPrefix: namePrefix('the same for groups'),
  groupMappings: z
    .array(
      z.strictObject({
        usernames: namePatterns('users that are in the groups, without their prefix'),
        organizations: namePatterns('organizations (O) whose users are in the groups'),
        groups: z
          .array(z.string().min(1, 'is empty'))
          .min(1, 'is empty')
          .describe('the groups, without their prefix; must be a list of groups'),
      }),
    )
    .optional()
    .describe(
      'the groups of users, in place of organizations. If unset, each organization is a group with ' +
        'commonName, and users have no groups with spiffeID; must be a list of mappings',
    ),
})

const headerNames = (meaning: string, example: string) =>
  z
    .array(identityHeader)
    .default([example])
    .describe(`${meaning}; must be a list of header names, such as ${example}`)

const identityHeader = headerName('a header').refine(
  (name) => !/^(?:authorization|cookie|host|connection|impersonate-.*|sec-.*)$/i.test(name),
  { error: ({ input }) => `${JSON.stringify(input)} has another meaning` },
)

const frontProxy = z
  .strictObject({
    caFile: inputFile(
      'CAs that sign the certificates of front proxies, a PEM bundle (--requestheader-client-ca-file). ' +
        'Their certificates name no users',
      CLIENT_CA,
    ),
    trustedNetworks: z
      .array(network)
      .min(1, 'is empty')
      .meta({
        description:
          'networks that front proxies connect from. The same certificate from elsewhere is refused ' +
          '(401); must be a list of networks',
        examples: [['10.0.5.0/24']],
      }),
    allowedNames: z
      .array(z.string().min(1, 'is empty'))
      .default([])
      .describe(
        'common names of front proxies. If empty, every certificate of these CAs is one ' +
          '(--requestheader-allowed-names); must be a list of names',
      ),
    usernameHeaders: headerNames(
      'headers with the name of the user, of which the first one that is not empty counts ' +
        '(--requestheader-username-headers)',
      'X-Remote-User',
    ),
    uidHeaders: headerNames(
      'headers with the uid, in the same way (--requestheader-uid-headers)',
      'X-Remote-Uid',
    ),
    groupHeaders: headerNames(
      'headers with groups, one in each field (--requestheader-group-headers)',
      'X-Remote-Group',
    ),
    extraHeaderPrefixes: headerNames(
      'prefixes of the names of headers with extra values (--requestheader-extra-headers-prefix)',
      'X-Remote-Extra-',
    ),
  })
  .describe(
    'Other proxies that authenticate users and name them in headers, as kube-apiserver trusts its front ' +
      'proxy. Whoever controls such a proxy can act as every user. Headers of all other clients are ' +
      'dropped.',
  )

export const clientCertificates = z
  .strictObject({
    clientCAFile: inputFile(
      'the CAs that sign client certificates, a PEM bundle. Required without authorities',
      CLIENT_CA,
    ).optional(),
    crlFile: inputFile(
      'revocation lists, a PEM bundle with one list for each CA of clientCAFile and authorities, and for each CA below them. If unset, revocation is not checked',
      CLIENT_CA,
    ).optional(),
    authorities: z
      .array(clientAuthority)
      .default([])
      .meta({
        description:
          'more CAs that sign client certificates, whose users have names of another form; must be a ' +
          'list of CA files with options',
        examples: [
          [{ caFile: 'workload-ca.crt', usernameFrom: 'spiffeID', trustDomain: 'example.org' }],
        ],
      }),
    frontProxy: frontProxy.optional(),
    allowedOrigins: z
      .array(origin)
      .default([])
      .meta({
        description:
          'other sites that may use the certificates of their users. A browser sends the certificate ' +
          'with the requests of every site, so requests of sites that are not listed are refused ' +
          '(403). The names of the serving certificates need not be listed; must be a list of origins',
        examples: [['https://console.example.com']],
      }),
  })
  .describe(
    'Client certificates: the common name (CN) is the user name, each organization (O) a group.',
  )
