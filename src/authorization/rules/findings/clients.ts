/** Finds users who are allowed something, but not the requests that every client begins with. */
import { resolveRequestInfo } from '../../../request/request-info.ts'
import { parseTarget } from '../../../request/target.ts'
import type { RequestInfo } from '../../../request/types.ts'
import type { Authorizer, Decision } from '../../authorizer.ts'
import type { AccessRule } from '../schema.ts'
import { sampleUsers } from './denials.ts'
import { likely, type Finding } from './finding.ts'

/**
 * What kubectl and helm request before anything else, and without which they only say `unknown`, or
 * that the cluster is unreachable. RBAC grants the same to every user, by the ClusterRoles
 * system:discovery and system:basic-user.
 */
const BASICS: readonly RequestInfo[] = [
  'GET /api',
  'GET /apis',
  'GET /api/v1',
  'GET /apis/apps/v1',
  'GET /version',
  'GET /openapi/v2',
  'GET /openapi/v3/apis/apps/v1',
  'GET /healthz',
  'GET /livez',
  'GET /readyz',
  'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
  'POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
  'POST /apis/authentication.k8s.io/v1/selfsubjectreviews',
].map((request) => {
  const [method = '', target = ''] = request.split(' ')
  return resolveRequestInfo(method, parseTarget(method, target))
})

const MAX_SHOWN = 3

/** One finding for the file, at the first rule whose users lack something. */
export function findMissingBasics(rules: readonly AccessRule[], authorize: Authorizer): Finding[] {
  const lacking = rules.flatMap((rule, position) => {
    if (rule.effect !== 'allow' || rule.mode !== 'enforce') return []
    const users = sampleUsers(rule)
    const missing = BASICS.filter((info) =>
      users.some((user) => (authorize({ user, info }) as Decision).decision !== 'allow'),
    )
    return missing.length === 0 ? [] : [{ name: rule.name, position, missing }]
  })
  const [first] = lacking
  if (first === undefined) return []
  const paths = first.missing.slice(0, MAX_SHOWN).map(({ path }) => path)
  const more = first.missing.length > MAX_SHOWN ? ', …' : ''
  const others = lacking.length === 1 ? '' : ` (and of ${lacking.length - 1} more)`
  return [
    {
      ...likely(
        `the users of the rule ${JSON.stringify(first.name)}${others} may not request ${paths.join(', ')}${more}, without which kubectl and helm fail with "unknown"`,
        'add the rules discovery and self-reviews of config/rules.yaml',
      ),
      path: ['rules', first.position],
    },
  ]
}
