/** `kubectl auth whoami` and `kubectl auth can-i`. */
import type { UserInfo } from './identity.ts'
import { objectAt, type Json } from './objects.ts'

const reason = 'the playground has no RBAC: whoever gets here may do everything'

/** Answers by path; undefined for a path that is no review's. */
export function review(path: string, body: Json, user: UserInfo): Json | undefined {
  const answer = (group: string, kind: string, status: Json): Json => ({
    kind,
    apiVersion: `${group}/v1`,
    metadata: { creationTimestamp: null },
    ...(kind === 'SelfSubjectReview' ? {} : { spec: objectAt(body, 'spec') }),
    status,
  })
  switch (path) {
    case '/apis/authentication.k8s.io/v1/selfsubjectreviews':
      return answer('authentication.k8s.io', 'SelfSubjectReview', { userInfo: user })
    case '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews':
      return answer('authorization.k8s.io', 'SelfSubjectAccessReview', { allowed: true, reason })
    case '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews':
      return answer('authorization.k8s.io', 'SelfSubjectRulesReview', {
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      })
    default:
      return undefined
  }
}
