/** `authentication.securityEvents` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { inputFile } from '../fields.ts'
import { egressProxy } from './egress-proxy.ts'

const RELOAD = { reload: 'security events' }

const httpsURL = (meaning: string) =>
  z
    .string()
    .refine((text) => isHttpsURL(text), {
      error: ({ input }) => `${JSON.stringify(input)} is not an https URL`,
    })
    .describe(`${meaning}; must be an https URL without user, query and fragment`)

function isHttpsURL(text: string): boolean {
  const url = URL.parse(text)
  return (
    url?.protocol === 'https:' &&
    text.startsWith('https://') &&
    url.username === '' &&
    url.password === '' &&
    !/[?#]/.test(text)
  )
}

export const transmitterOptions = z.strictObject({
  issuer: httpsURL('the transmitter: the claim `iss` of its events, exactly'),
  configurationURL: httpsURL(
    'where its metadata is. If unset, /.well-known/ssf-configuration on its host, with the path of ' +
      '`issuer` behind it',
  ).optional(),
  audiences: z
    .array(z.string().min(1, 'is empty'))
    .min(1, 'is empty')
    .meta({
      description:
        'the claim `aud` of its events, which must have one of them; must be a list of texts',
      examples: [['https://gatehouse.example.com']],
    }),
  issuers: z
    .array(z.string().min(1, 'is empty'))
    .min(1, 'is empty')
    .meta({
      description:
        'issuers whose users its events may be about. Their tokens must have iat; must be a list of ' +
        'urls of issuers in configFile',
      examples: [['https://login.example.com/realms/company']],
    }),
  push: z
    .strictObject({
      authorizationFile: inputFile(
        'the Authorization header that the transmitter sends, on one line. If unset, anyone may send ' +
          'its events: they are signed',
        RELOAD,
      ).optional(),
    })
    .describe('The transmitter sends events to `/gatehouse/security-events` (RFC 8935).')
    .optional(),
  poll: z
    .strictObject({
      url: httpsURL('the endpoint of the stream at the transmitter'),
      authorizationFile: inputFile(
        'the Authorization header that Gatehouse sends there, on one line',
        RELOAD,
      ),
    })
    .describe('Gatehouse fetches events from the transmitter (RFC 8936).')
    .optional(),
  jwksFile: inputFile(
    'public keys of the transmitter, a JSON Web Key Set. Nothing is fetched then',
    RELOAD,
  ).optional(),
  certificateAuthorityFile: inputFile(
    'CA certificates that verify the server of the transmitter, a PEM bundle. If unset, the CAs that ' +
      'Node trusts',
    RELOAD,
  ).optional(),
  proxy: egressProxy('the transmitter', RELOAD).optional(),
  cachedKeyLifetime: duration(
    'how long keys that were fetched stay in use while the transmitter cannot be reached. Then its ' +
      'events are refused. At least 1m',
    '1m',
  ).default(24 * 3_600_000),
})

export const securityEvents = z
  .strictObject({
    transmitters: z
      .array(transmitterOptions)
      .default([])
      .describe('who may send security events; must be a list of transmitters'),
  })
  .describe(
    'Security events (Shared Signals Framework, CAEP and RISC), with which an identity provider ends ' +
      'sign-ins and disables accounts.',
  )
