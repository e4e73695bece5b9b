/** `authentication` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import {
  choice,
  count,
  flag,
  groupPattern,
  headerName,
  inputFile,
  namePrefix,
  network,
  origin,
  proxyUrl,
  systemName,
  wholeNumber,
} from '../fields.ts'
import { fieldNames } from './field-names.ts'
import { groupSource } from './group-source.ts'
import { issuedCertificates } from './issued-certificates.ts'

const CLIENT_CA = { reload: 'client CA' }
const ISSUERS = { reload: 'authentication configuration' }

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

/** Each field enables an authentication method (gatehouse/sign-ins.ts). */
const signInMethods = {
  configFile: inputFile(
    "OIDC issuers, in Kubernetes' AuthenticationConfiguration format",
    ISSUERS,
  ).optional(),
  x509: z
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
    .optional(),
  issuedCertificates: issuedCertificates.optional(),
  serviceAccounts: z
    .strictObject({
      issuers: z
        .array(z.string().min(1, 'is empty'))
        .min(1, 'is empty')
        .meta({
          description:
            "issuers (iss) of the cluster's service account tokens, as --service-account-issuer of " +
            'kube-apiserver has them. Only tokens of these issuers are reviewed; must be a list of issuers',
          examples: [['https://kubernetes.default.svc.cluster.local']],
        }),
      audiences: z
        .array(z.string().min(1, 'is empty'))
        .min(1, 'is empty')
        .meta({
          description:
            'audiences of which a token must have one. With an audience that is not one of ' +
            'kube-apiserver (--api-audiences), the API server itself refuses the tokens; must be a ' +
            'list of audiences',
          examples: [['gatehouse']],
        }),
    })
    .describe(
      "Tokens of the cluster's service accounts. The API server checks each by TokenReview, which " +
        'Gatehouse must be allowed to create (deploy/kubernetes/10-rbac.yaml). Verdicts are cached for ' +
        '10 seconds.',
    )
    .optional(),
}

const issuerOptions = z.strictObject({
  url: z
    .string()
    .min(1, 'is empty')
    .describe('issuer that the options are for; must be the url of an issuer in configFile'),
  missingGroups: choice(
    'what happens to a token without the claim that `claimMappings.groups` names. unknown: the user ' +
      'is accepted with no groups, every deny rule for groups applies, and no allow rule for groups ' +
      'does. refuse: the token is refused (401)',
    ['unknown', 'refuse'],
  ).default('unknown'),
  sharesNames: flag(
    'whether users of this issuer may have the names and groups of client certificates, and of other ' +
      'issuers with `sharesNames: true`. Whoever controls one of them can then act as a user of the ' +
      'others. By default, prefixes that overlap are refused',
  ).default(false),
  allowedGroups: z
    .array(groupPattern)
    .min(1, 'is empty')
    .optional()
    .meta({
      description:
        'groups of this issuer that are asserted to the API server, with the prefix of the issuer. A `*` ' +
        'at the end stands for the rest of a name. Allow rules do not count the other groups, and deny ' +
        'rules do. If unset, every group is asserted; must be a list of groups',
      examples: [['oidc:platform', 'oidc:team-*']],
    }),
  groupSource: groupSource.optional(),
  jwksFile: inputFile(
    "the issuer's public keys, a JSON Web Key Set (RFC 7517), for an issuer that cannot be reached. " +
      'Nothing is fetched then, and its keys change only with the file',
    ISSUERS,
  ).optional(),
  certificateAuthorityFile: inputFile(
    'CA certificates that verify the server of the issuer, a PEM bundle, in place of ' +
      '`certificateAuthority` in configFile',
    ISSUERS,
  ).optional(),
  proxy: z
    .strictObject({
      url: proxyUrl,
      certificateAuthorityFile: inputFile(
        'CA certificates that verify a proxy with an https URL, a PEM bundle. If unset, the CAs that ' +
          'Node trusts',
        ISSUERS,
      ).optional(),
      credentialsFile: inputFile(
        'USER:PASSWORD for the proxy, on one line (Basic authentication, RFC 7617)',
        ISSUERS,
      ).optional(),
    })
    .describe(
      'The proxy (HTTP CONNECT) through which the issuer is reached, in place of the one in HTTPS_PROXY. ' +
        'NO_PROXY has no effect on it. TLS is end to end: the proxy sees only the name of the issuer.',
    )
    .optional(),
  cachedKeyLifetime: duration(
    'how long keys that were fetched stay in use while the issuer cannot be reached. Then its tokens ' +
      'are refused, since a key may have been withdrawn. At least 1m',
    '1m',
  ).default(24 * 3_600_000),
})

export const authentication = z
  .strictObject({
    ...signInMethods,
    issuers: z
      .array(issuerOptions)
      .default([])
      .meta({
        description:
          "options of single issuers, for which Kubernetes' AuthenticationConfiguration format has " +
          'no field; must be a list of issuers',
        examples: [[{ url: 'https://login.example.com/realms/company', missingGroups: 'refuse' }]],
      }),
    systemIdentities: z
      .strictObject({
        users: z
          .array(systemName)
          .default([])
          .describe('accepted user names; must be a list of names that begin with "system:"'),
        groups: z
          .array(systemName)
          .default([])
          .describe('accepted groups; must be a list of names that begin with "system:"'),
      })
      .describe(
        'Names that begin with "system:" are reserved for Kubernetes. A credential that claims one ' +
          'is rejected (403) unless the name is listed here.',
      )
      .prefault({}),
    unusableGroups: choice(
      'what happens to a user with a group whose name cannot be sent to the API server unchanged: ' +
        'blanks at an end, control or invisible characters, or too long. refuse: the user is rejected ' +
        '(403). drop: the user is accepted without that group, which only deny rules count, and a ' +
        'warning in the log names it',
      ['refuse', 'drop'],
    ).default('refuse'),
    streams: z
      .strictObject({
        onExpiry: choice(
          'what happens to a stream whose token or certificate expires. keep: it goes on, as with ' +
            'kube-apiserver. end: it ends, after `grace`',
          ['keep', 'end'],
        ).default('keep'),
        grace: duration('how long a stream may go on after its credential has expired').default(0),
        maxAge: duration(
          'how long a stream of any credential may last. Watches reconnect by themselves. If unset, ' +
            'there is no limit',
        ).optional(),
      })
      .describe('Streams (exec, attach, port-forward, proxy, logs, watches) that are running.')
      .prefault({}),
    maxGroups: count(
      'groups of one user that are asserted. A user with more is rejected (403)',
      5_000,
    ).default(1_000),
    maxIdentityBytes: wholeNumber(
      'bytes of all groups and extra values of one user together. A user with more is rejected (403)',
      1,
      262_144,
    ).default(65_536),
    tokenCacheSize: count('verified tokens that are cached until they expire').default(10_000),
  })
  .describe(
    `How users authenticate. At least one authentication method is required: ${fieldNames(signInMethods)}. ` +
      'There are no ' +
      'anonymous users: a request without a valid credential is refused (401).',
  )

export type SignInField = keyof typeof signInMethods
export const SIGN_IN_FIELDS = Object.keys(signInMethods) as readonly SignInField[]
