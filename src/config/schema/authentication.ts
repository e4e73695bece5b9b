/** `authentication` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, count, inputFile, systemName, wholeNumber } from '../fields.ts'
import { clientCertificates } from './client-certificates.ts'
import { fieldNames } from './field-names.ts'
import { issuedCertificates } from './issued-certificates.ts'
import { issuerOptions, ISSUERS } from './issuer-options.ts'
import { securityEvents } from './security-events.ts'
import { serviceAccounts } from './service-accounts.ts'

/** Each field enables an authentication method (gatehouse/sign-ins.ts). */
const signInMethods = {
  configFile: inputFile(
    "OIDC issuers, in Kubernetes' AuthenticationConfiguration format",
    ISSUERS,
  ).optional(),
  x509: clientCertificates.optional(),
  issuedCertificates: issuedCertificates.optional(),
  serviceAccounts: serviceAccounts.optional(),
}

/** As long as the longest certificate that Gatehouse issues. */
const MIN_REVOCATION_MS = 24 * 3_600_000
const MAX_REVOCATION_MS = 31 * MIN_REVOCATION_MS

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
    boundTokens: z
      .strictObject({
        selfSignedCertificates: choice(
          'what happens to a token that comes with the self-signed certificate that it is bound to. accept: ' +
            'the certificate proves that the client has the key, and nothing else of it counts. All ' +
            'clients are then asked for a certificate during the TLS handshake. refuse: the certificate must ' +
            'be accepted by itself, as one of x509 or issuedCertificates',
          ['refuse', 'accept'],
        ).default('refuse'),
      })
      .describe(
        'Tokens that the issuer has bound to a client certificate (RFC 8705, `cnf.x5t#S256`). They are only ' +
          'accepted together with this certificate.',
      )
      .prefault({}),
    securityEvents: securityEvents.prefault({}),
    revocations: z
      .strictObject({
        lifetime: duration(
          'how long the end of a sign-in is remembered. Tokens of the issuers that can end sign-ins are ' +
            'refused when they are older',
        )
          .refine((lifetime) => lifetime >= MIN_REVOCATION_MS && lifetime <= MAX_REVOCATION_MS, {
            error: 'is not between 24h and 744h',
          })
          .default(MIN_REVOCATION_MS),
      })
      .describe('Sign-ins that their issuer has ended, by a logout token or a security event.')
      .prefault({}),
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
