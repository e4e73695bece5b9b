import { X509Certificate } from 'node:crypto'

import { z } from 'zod'

import { pemBlocks, type PemBlock } from '../../pem.ts'

/**
 * The fields of `AuthenticationConfiguration` (apiserver pkg/apis/apiserver/v1/types.go), each
 * checked on its own. The descriptions appear as fixes in configuration problems.
 */

export type AuthenticationConfigurationFile = z.output<typeof authenticationConfigurationSchema>

/** A field that exists in Kubernetes and is refused here, with the reason and a fix. */
function refused(message: string, fix: string) {
  return z
    .unknown()
    .superRefine((_, context) => context.addIssue({ code: 'custom', message, params: { fix } }))
    .optional()
}

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
    'the URL of the discovery document, as https://HOST[:PORT]/PATH; omit it if the document is under url',
  ).optional(),
  certificateAuthority: z
    .string()
    .refine(isCertificateBundle, 'is not a bundle of PEM certificates')
    .describe('CA certificates that verify the server of the issuer, as PEM (in YAML after "|")')
    .optional(),
  audiences: z
    .array(name('an audience, such as the client ID of kubectl at the issuer'))
    .min(1, 'must have at least one audience')
    .describe('a list of audiences: a token must be for one of them'),
  audienceMatchPolicy: z
    .enum(['MatchAny'])
    .optional()
    .describe('MatchAny, or omit it if there is only one audience'),
  egressSelectorType: refused(
    'Gatehouse does not support egress selectors: it connects directly',
    'remove egressSelectorType',
  ),
})

const expression = (description: string) => z.string().describe(description).optional()

const CLAIMS = 'a CEL expression over claims'

const claimValidationRule = z.strictObject({
  claim: name('the name of a claim of type string').optional(),
  requiredValue: z.string().optional().describe('the exact value that the claim must have'),
  expression: expression(`${CLAIMS} that must be true`),
  message: z.string().describe('the reason of the refusal in the log').optional(),
})

const nameMapping = (names: string, claim: string) =>
  z.strictObject({
    claim: name(claim).optional(),
    prefix: z
      .string()
      .optional()
      .describe(`the prefix of ${names}; such as "oidc:", or "" for none`),
    expression: expression(`${CLAIMS}, in place of claim and prefix`),
  })

const claimMappings = z.strictObject({
  username: nameMapping('user names', 'the claim that names the user, such as sub or email'),
  groups: nameMapping(
    'groups',
    'the claim that lists the groups: a string or a list of strings',
  ).optional(),
  uid: z
    .strictObject({
      claim: name("the claim that holds the user's uid, such as sub").optional(),
      expression: expression(`${CLAIMS}, in place of claim`),
    })
    .optional(),
  extra: z
    .array(
      z.strictObject({
        key: z.string().describe('a key with a domain, such as example.com/team').optional(),
        valueExpression: expression(`${CLAIMS} that gives a string or a list of strings`),
      }),
    )
    .default([]),
})

const userValidationRule = z.strictObject({
  expression: expression('a CEL expression over user that must be true'),
  message: z.string().describe('the reason of the refusal in the log').optional(),
})

const jwt = z.strictObject({
  issuer,
  claimValidationRules: z.array(claimValidationRule).default([]),
  claimMappings,
  userValidationRules: z.array(userValidationRule).default([]),
})

const anonymous = z.strictObject({
  enabled: z
    .boolean()
    .refine((enabled) => !enabled, {
      message: 'Gatehouse does not support anonymous authentication',
      params: { fix: 'write enabled: false, or remove anonymous' },
    })
    .describe('false')
    .optional(),
  conditions: z
    .array(z.unknown())
    .refine((list) => list.length === 0, {
      message: 'Gatehouse does not support anonymous authentication on any path',
      params: { fix: 'remove conditions' },
    })
    .optional(),
})

const fields = z.strictObject({
  apiVersion: z
    .enum(['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1'])
    .describe('apiserver.config.k8s.io/v1'),
  kind: z.literal('AuthenticationConfiguration').describe('AuthenticationConfiguration'),
  jwt: z.array(jwt).max(64, 'has more than 64 issuers').default([]).describe('a list of issuers'),
  anonymous: anonymous.optional(),
})

export const authenticationConfigurationSchema = z.preprocess(withoutAbsent, fields)

/** Fields that kube-apiserver takes as absent if they are empty; an empty prefix means no prefix. */
const ABSENT_IF_EMPTY: ReadonlySet<string> = new Set([
  'discoveryURL',
  'certificateAuthority',
  'audienceMatchPolicy',
  'egressSelectorType',
  'claim',
  'expression',
  'valueExpression',
  'message',
  'key',
])

/** Fields that it takes as absent if they are null, besides those. An unknown field is none of them. */
const ABSENT_IF_NULL: ReadonlySet<string> = new Set([
  ...ABSENT_IF_EMPTY,
  'jwt',
  'anonymous',
  'enabled',
  'conditions',
  'audiences',
  'claimValidationRules',
  'userValidationRules',
  'requiredValue',
  'prefix',
  'username',
  'groups',
  'uid',
  'extra',
])

/** Returns the data of a file without the fields that kube-apiserver takes as absent. */
export function withoutAbsent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAbsent)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([field, content]) => {
    if (content === null) return !ABSENT_IF_NULL.has(field)
    return content !== '' || !ABSENT_IF_EMPTY.has(field)
  })
  return Object.fromEntries(kept.map(([field, content]) => [field, withoutAbsent(content)]))
}

/**
 * Why an issuer's URL is refused, undefined when it is not: kube-apiserver's rules, and printable
 * ASCII with a lower-case scheme.
 */
function urlProblem(text: string): string | undefined {
  const parsed = URL.parse(text)
  if (parsed === null || !/^[\x21-\x7e]+$/.test(text)) return 'is not a URL'
  if (/%(?![0-9a-f]{2})/i.test(text)) return 'has a percent sign that escapes nothing'
  if (!text.startsWith('https://')) return 'does not begin with https://'
  if (text.includes('?') || text.includes('#')) return 'has a query or a fragment'
  if (parsed.username !== '' || parsed.password !== '') return 'contains a user name or password'
  return undefined
}

/** Whether a text holds PEM certificates that can be parsed, at least one, and no other PEM block. */
export function isCertificateBundle(text: string): boolean {
  const blocks = pemBlocks(text)
  return blocks.length > 0 && blocks.every(isCertificate)
}

function isCertificate({ label, pem }: PemBlock): boolean {
  if (label !== 'CERTIFICATE') return false
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}
