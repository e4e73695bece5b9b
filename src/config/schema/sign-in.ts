/** `signIn` of gatehouse.yaml. */
import { z } from 'zod'

import { choice, flag, inputFile } from '../fields.ts'
import { extraParameter, scope } from './authorization-request.ts'
import { methodDisplayName, methodName, signInIssuer } from './sign-in-fields.ts'
import { pages } from './sign-in-pages.ts'

const redirectURI = z
  .string()
  .refine(isLoopbackURI, { error: ({ input }) => `${JSON.stringify(input)} is not on loopback` })
  .describe(
    'a redirect URI; must be http://localhost, http://127.0.0.1 or http://[::1], such as http://localhost:8000',
  )

const method = z.strictObject({
  name: methodName,
  displayName: methodDisplayName,
  issuer: signInIssuer,
  clientID: z
    .string()
    .min(1, 'is empty')
    .optional()
    .describe(
      "client ID of the command line at the issuer, a public client. If unset, the issuer's audience " +
        'where it has only one; must be one of the audiences of the issuer',
    ),
  publishedClientSecret: z
    .string()
    // RFC 6749 appendix A.2. It is sent in a form and in an argument of kubelogin.
    .regex(/^[\x21-\x7e]{1,256}$/, 'is not a client secret')
    .optional()
    .describe(
      'a client secret that the issuer requires even of a public client, as Google does of desktop ' +
        'applications. The discovery document shows it to everybody, so never write the secret of a ' +
        'confidential client here; must be at most 256 printable characters without blanks',
    ),
  scopes: z
    .array(scope)
    .optional()
    .meta({
      description:
        'scopes that are requested besides `openid`. If unset, those of `offline_access`, `profile`, ' +
        '`email` and `groups` that the issuer lists in its metadata and that the claim mappings need; ' +
        'must be a list of scopes',
      examples: [['offline_access', 'email', 'groups']],
    }),
  extraParameters: z
    .array(extraParameter)
    .default([])
    .meta({
      description:
        'parameters that the issuer wants in the authorization request; must be a list of names and values',
      examples: [[{ name: 'access_type', value: 'offline' }]],
    }),
  redirectURIs: z
    .array(redirectURI)
    .min(1, 'has no URI')
    .default(['http://localhost:8000', 'http://localhost:18000'])
    .describe(
      'where the command line waits for the browser, as registered at the issuer. The first whose port ' +
        'is free is used. One without a port stands for any free port (RFC 8252 section 7.3); ' +
        'must be a list of loopback URIs',
    ),
  deviceAuthorization: flag(
    'whether users may sign in with a code that they enter on another device (RFC 8628). An attacker ' +
      'can send such a code to a victim, so allow it only where machines without a browser need it',
  ).default(false),
  boundTokens: choice(
    'whether users sign in for an access token that is bound to a client certificate (RFC 8705), in place of ' +
      'an ID token. The issuer must bind access tokens of this client to certificates, and they must be JWTs ' +
      'for one of its audiences. selfSigned: to a certificate that gatehouse makes for each sign-in. ' +
      'clientCertificate: to a certificate that the user has (--client-certificate). none: ID tokens',
    ['none', 'selfSigned', 'clientCertificate'],
  ).default('none'),
})

export const signIn = z
  .strictObject({
    enabled: flag('whether the discovery document is served').default(true),
    displayName: z
      .string()
      .min(1, 'is empty')
      .max(128, 'is too long')
      .default('Gatehouse')
      .describe('what users read when they sign in; must be a string'),
    clusterName: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, 'is not a name')
      .optional()
      .describe(
        "name of the cluster in users' kubeconfigs. If unset, the host in the URL that a user signs in to; " +
          'must be lower-case letters, digits, "-" and "."',
      ),
    caFile: inputFile(
      'the CA of the serving certificates, a PEM bundle, for clients that do not trust it yet. Leave it unset for a public CA',
      { reload: 'serving CA' },
    ).optional(),
    methods: z
      .array(method)
      .default([])
      .meta({
        description:
          'how users sign in. If empty, one method for each issuer of authentication.configFile with only ' +
          'one audience; must be a list of methods',
        examples: [
          [
            {
              name: 'company',
              issuer: 'https://login.example.com/realms/company',
              clientID: 'kubernetes',
              scopes: ['offline_access', 'email', 'groups'],
            },
          ],
        ],
      }),
    pages: pages.optional(),
  })
  .describe(
    'The discovery document `/.well-known/gatehouse`, from which `gatehouse login` and the credential ' +
      'plugin learn how users sign in. It is public: no credential is needed to read it.',
  )

/** RFC 8252 section 7.3; also RFC 6749 section 3.1.2: no fragment. */
function isLoopbackURI(text: string): boolean {
  const url = URL.parse(text)
  if (url?.protocol !== 'http:' || url.search !== '' || text.includes('#')) return false
  if (url.username !== '' || url.password !== '') return false
  return ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}
