/** `kubectl auth whoami` and `kubectl auth can-i`. */
import type { UserInfo } from './identity.ts'
import { objectAt, type Json } from './objects.ts'

const REASON = 'the playground does not have RBAC: every user may do everything'

/** The review to return for a path; undefined if the path is not that of a review. */
export function review(path: string, body: Json, user: UserInfo): Json | undefined {
  const reviewOf = (group: string, kind: string, status: Json): Json => ({
    kind,
    apiVersion: `${group}/v1`,
    metadata: { creationTimestamp: null },
    ...(kind === 'SelfSubjectReview' ? {} : { spec: objectAt(body, 'spec') }),
    status,
  })
  switch (path) {
    case '/apis/authentication.k8s.io/v1/selfsubjectreviews':
      return reviewOf('authentication.k8s.io', 'SelfSubjectReview', { userInfo: user })
    case '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews':
      return reviewOf('authorization.k8s.io', 'SelfSubjectAccessReview', {
        allowed: true,
        reason: REASON,
      })
    case '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews':
      return reviewOf('authorization.k8s.io', 'SelfSubjectRulesReview', {
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      })
    default:
      return undefined
  }
}
