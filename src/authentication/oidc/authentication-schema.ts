import { X509Certificate } from 'node:crypto'

import { z } from 'zod'

/**
 * Fields of `AuthenticationConfiguration` (apiserver pkg/apis/apiserver/v1/types.go), each by itself.
 * Descriptions are what an operator is told to write.
 */

export type AuthenticationConfigurationFile = z.output<typeof authenticationConfigurationSchema>

/** A field that is known and refused, with the reason and the way out. */
function refused(message: string, fix: string) {
  return z
    .unknown()
    .superRefine((_, context) => context.addIssue({ code: 'custom', message, params: { fix } }))
    .optional()
}

/** A list that must be empty as long as its elements need CEL. */
function refusedElements(message: string, fix: string) {
  return z
    .array(z.unknown())
    .refine((list) => list.length === 0, { message, params: { fix } })
    .optional()
}

const CEL = 'CEL expressions are not supported by this version of Gatehouse'

const name = (description: string) => z.string().min(1, 'is empty').describe(description)

const url = (description: string) =>
  z
    .string()
    .superRefine((text, context) => {
      const message = urlProblem(text)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    })
    .describe(description)

const issuer = z.strictObject({
  url: url('the URL in the iss claim, as https://HOST[:PORT][/PATH]'),
  discoveryURL: url(
    'where the discovery document is, as https://HOST[:PORT]/PATH; leave it out if it is under url',
  ).optional(),
  certificateAuthority: z
    .string()
    .refine(isCertificateBundle, 'is no list of PEM certificates')
    .describe('certificates that verify the issuer\'s server, PEM (in YAML behind "|")')
    .optional(),
  audiences: z
    .array(name('an audience, such as the client id of kubectl at the issuer'))
    .min(1, 'needs one audience at least')
    .describe('a list of audiences: a token must be for one of them'),
  audienceMatchPolicy: z
    .enum(['MatchAny'])
    .optional()
    .describe('MatchAny, or leave it out where there is one audience'),
  egressSelectorType: refused(
    'Gatehouse has no egress selector: it connects directly',
    'remove egressSelectorType',
  ),
})

const claimValidationRule = z.strictObject({
  claim: name('the name of a claim of type string').optional(),
  requiredValue: z.string().optional().describe('the exact value that the claim must have'),
  expression: refused(CEL, 'write claim and requiredValue'),
  message: refused('a message belongs to a CEL expression', 'remove message'),
})

const claimMappings = z.strictObject({
  username: z.strictObject({
    claim: name('the claim that names the user, such as sub or email').optional(),
    prefix: z
      .string()
      .optional()
      .describe('what is put before the name; such as "oidc:", or "" for nothing'),
    expression: refused(CEL, 'write claim and prefix'),
  }),
  groups: z
    .strictObject({
      claim: name('the claim with the groups: a string or a list of strings').optional(),
      prefix: z
        .string()
        .optional()
        .describe('what is put before each group; such as "oidc:", or "" for nothing'),
      expression: refused(CEL, 'write claim and prefix'),
    })
    .optional(),
  uid: z
    .strictObject({
      claim: name("the claim with the user's uid, such as sub").optional(),
      expression: refused(CEL, 'write claim'),
    })
    .optional(),
  extra: refusedElements(
    `extra needs CEL: ${CEL}`,
    "remove extra; the token's jti is in the user's extra without it",
  ),
})

const jwt = z.strictObject({
  issuer,
  claimValidationRules: z.array(claimValidationRule).default([]),
  claimMappings,
  userValidationRules: refusedElements(
    `userValidationRules need CEL: ${CEL}`,
    'remove them; what a user may do is the business of the access rules',
  ),
})

const anonymous = z.strictObject({
  enabled: z
    .boolean()
    .refine((enabled) => !enabled, {
      message: 'Gatehouse lets nobody in without a credential',
      params: { fix: 'write enabled: false, or remove anonymous' },
    })
    .describe('false'),
  conditions: refusedElements(
    'Gatehouse lets nobody in without a credential, on no path',
    'remove conditions',
  ),
})

export const authenticationConfigurationSchema = z.strictObject({
  apiVersion: z
    .enum(['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1'])
    .describe('apiserver.config.k8s.io/v1'),
  kind: z.literal('AuthenticationConfiguration').describe('AuthenticationConfiguration'),
  jwt: z.array(jwt).max(64, 'has more than 64 issuers').default([]).describe('a list of issuers'),
  anonymous: anonymous.optional(),
})

/** What is wrong with an issuer's URL by kube-apiserver's rules; undefined when nothing is. */
function urlProblem(text: string): string | undefined {
  const parsed = URL.parse(text)
  if (parsed === null || !/^[\x21-\x7e]+$/.test(text)) return 'is no URL'
  if (!text.startsWith('https://')) return 'does not begin with https://'
  if (text.includes('?') || text.includes('#')) return 'has a query or a fragment'
  if (parsed.username !== '' || parsed.password !== '') return 'has a user name or password in it'
  return undefined
}

const PEM_BLOCK = /-----BEGIN ([^-\n]+)-----[\s\S]*?-----END \1-----/g

function isCertificateBundle(pem: string): boolean {
  const blocks = [...pem.matchAll(PEM_BLOCK)]
  return blocks.length > 0 && blocks.every(([block, label]) => isCertificate(block, label))
}

function isCertificate(block: string, label: string | undefined): boolean {
  if (label !== 'CERTIFICATE') return false
  try {
    return new X509Certificate(block).raw.length > 0
  } catch {
    return false
  }
}
