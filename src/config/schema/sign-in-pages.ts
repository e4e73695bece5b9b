/** `signIn.pages` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { inputFile } from '../fields.ts'
import { extraParameter, scope } from './authorization-request.ts'
import { signInIssuer } from './sign-in-fields.ts'

const RELOAD = { reload: 'sign-in pages' }
const MAX_LIFETIME_MS = 12 * 3_600_000

const httpsOrigin = (meaning: string) =>
  z
    .string()
    .refine((text) => URL.parse(text)?.origin === text && /^https:[^*]+$/.test(text), {
      error: ({ input }) => `${JSON.stringify(input)} is not an https origin`,
    })
    .describe(`${meaning}; must be https://HOST[:PORT], such as https://login.example.com`)

export const pages = z
  .strictObject({
    url: httpsOrigin(
      'where browsers find the pages. With authentication.x509 it has a host of its own, for which ' +
        'Gatehouse requests no client certificate and serves no Kubernetes API',
    ),
    apiURL: httpsOrigin(
      'the URL for `gatehouse login`, and the server in kubeconfigs. If unset, `url`',
    ).optional(),
    issuer: signInIssuer,
    clientID: z
      .string()
      .min(1, 'is empty')
      .describe(
        'client ID of the pages at the issuer, a confidential client; must be one of the audiences of the issuer',
      ),
    clientSecretFile: inputFile('the client secret, on one line', RELOAD).optional(),
    privateKeyFile: inputFile(
      'key with which Gatehouse signs in to the issuer (private_key_jwt) in place of a client secret, PKCS#8 in PEM',
      RELOAD,
    ).optional(),
    privateKeyID: z
      .string()
      .min(1, 'is empty')
      .optional()
      .describe(
        'key ID (kid) of privateKeyFile at the issuer. If unset, none is sent; must be a string',
      ),
    scopes: z
      .array(scope)
      .optional()
      .meta({
        description:
          'scopes that are requested besides `openid`. If unset, those of `profile`, `email` and ' +
          '`groups` that the issuer lists in its metadata and that the claim mappings need; ' +
          'must be a list of scopes',
        examples: [['profile', 'groups']],
      }),
    extraParameters: z
      .array(extraParameter)
      .default([])
      .describe(
        'parameters that the issuer expects in the authorization request; must be a list of names and values',
      ),
    cookieKeysFile: inputFile(
      'keys that encrypt the cookies of the pages, one on each line, as `openssl rand -base64 32` ' +
        'prints them. The first one encrypts, the others are earlier ones that still decrypt. ' +
        'All replicas have the same file',
      RELOAD,
    ),
    sessionLifetime: duration(
      'how long a page shows a user who has signed in, at most 12 hours. It is not a credential for the API',
    )
      .refine((lifetime) => lifetime >= 60_000 && lifetime <= MAX_LIFETIME_MS, {
        error: 'is not from 1m to 12h',
      })
      .default(900_000),
  })
  .describe(
    'Pages for browsers under `/gatehouse/`: a user signs in, sees their identity in the cluster, and gets ' +
      'a kubeconfig. Register `/gatehouse/callback` (redirect URI), `/gatehouse/signed-out` ' +
      '(post-logout redirect URI) and `/gatehouse/backchannel-logout` at the issuer, below `url`.',
  )
