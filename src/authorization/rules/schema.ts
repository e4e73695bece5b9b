/** The schema of AccessRules: RBAC's terms, plus deny. config/rules.yaml is the annotated example. */
import { z } from 'zod'

const nonEmpty = (what: string) => z.array(z.string()).min(1, 'is empty').describe(what)

const patterns = (what: string) =>
  nonEmpty(`${what}; a list of strings, where a trailing "*" matches any suffix`)

const resourceRule = z.strictObject({
  apiGroups: nonEmpty(
    'API groups that the rule applies to; API groups: "" is core, "*" is every group',
  ),
  resources: nonEmpty(
    'resources that the rule applies to; resources: pods, pods/exec, "pods/*" (its subresources), "*/scale", or "*" for everything',
  ),
  resourceNames: patterns('object names').optional(),
  namespaces: patterns(
    'namespaces, where "" stands for cluster-scoped and all-namespace requests',
  ).optional(),
})

const subjectsSchema = (meaning: string) =>
  z
    .strictObject({
      users: patterns('user names').optional(),
      groups: patterns('groups').optional(),
    })
    .optional()
    .describe(meaning)

const ruleSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9](?:[-a-z0-9.]{0,98}[a-z0-9])?$/, 'is not a valid name')
    .describe(
      'name of the rule, unique in the file; lower-case letters, digits, "-" and ".", at most 100 characters',
    ),
  effect: z.enum(['allow', 'deny']).describe('decision of the rule; allow or deny'),
  mode: z
    .enum(['enforce', 'shadow'])
    .default('enforce')
    .describe('whether the rule is enforced, or only counted and audited; enforce or shadow'),
  subjects: subjectsSchema(
    'users that the rule applies to; set users, groups or both (either match is enough), or omit it for every user',
  ),
  impersonatedBy: subjectsSchema(
    'users whose requests as another user (kubectl --as) the rule applies to, while subjects are those whom they act as; set users, groups or both, or omit it to apply to all requests',
  ),
  verbs: nonEmpty(
    'verbs that the rule applies to, which only a deny rule for paths may omit to deny all methods; RBAC verbs, connect (exec, attach, portforward, proxy), impersonate or "*"',
  ).optional(),
  resources: z
    .array(resourceRule)
    .min(1, 'is empty')
    .describe('resources that the rule applies to; a list of apiGroups and resources')
    .optional(),
  nonResourceURLs: patterns('non-resource paths, such as /healthz or "/metrics/*"').optional(),
  message: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('text that a refused user sees; at most 500 characters'),
  when: z.unknown().optional(),
})

const testUser = z.strictObject({
  username: z.string().min(1).describe('user name'),
  groups: z.array(z.string()).default([]).describe('groups in addition to system:authenticated'),
})

const testSchema = z.strictObject({
  user: testUser
    .extend({
      groupsAreKnown: z
        .boolean()
        .default(true)
        .describe(
          'whether the credential states the groups; false for a token without the groups claim, to which every deny rule for groups applies and no allow rule for groups',
        ),
    })
    .describe('user who makes the request'),
  as: testUser
    .optional()
    .describe('user whom the user acts as (kubectl --as); the rules must allow that, too'),
  request: z.string().describe('the request; METHOD /path?query, such as GET /api/v1/pods'),
  expect: z.enum(['allow', 'deny']).describe('the decision that is expected; allow or deny'),
  rule: z
    .string()
    .optional()
    .describe('the rule that must decide; its name, or "" for the default'),
})

export const rulesSchema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('gatehouse/v1'),
  kind: z.literal('AccessRules').describe('AccessRules'),
  default: z
    .enum(['allow', 'deny'])
    .default('deny')
    .describe('decision on a request that no rule matches: allow or deny'),
  rules: z.array(ruleSchema).describe('the rules, in any order; a list'),
  tests: z.array(testSchema).default([]).describe('tests of the rules, run at every load'),
})

export type AccessRules = z.output<typeof rulesSchema>
export type AccessRule = AccessRules['rules'][number]
/** Fields that say what a rule does rather than when it matches. `when` is refused at load. */
type OutcomeField = 'name' | 'effect' | 'mode' | 'message' | 'when'
/** Every other field is a condition, which `compile-rule.ts` has to compile. */
export type ConditionField = Exclude<keyof AccessRule, OutcomeField>
export type ResourceRule = z.output<typeof resourceRule>
export type RuleTest = z.output<typeof testSchema>
