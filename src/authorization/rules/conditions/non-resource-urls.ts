import { compilePatterns } from '../../../patterns.ts'
import type { ConditionCompiler } from './condition.ts'

/**
 * A non-resource request must match one of the paths, so a rule without `nonResourceURLs` matches no
 * non-resource request. Resource requests are left to `resources`.
 *
 * Paths are compared literally, as in RBAC. A deny rule also matches the path with a trailing slash,
 * since the mux of kube-apiserver may serve both alike.
 */
export const compileNonResourceURLs: ConditionCompiler<'nonResourceURLs'> = ({
  nonResourceURLs,
  effect,
}) => {
  if (nonResourceURLs === undefined) return ({ info }) => info.isResourceRequest
  const matches = compilePatterns(nonResourceURLs)
  if (effect === 'allow') return ({ info }) => info.isResourceRequest || matches(info.path)
  return ({ info: { isResourceRequest, path } }) =>
    isResourceRequest ||
    matches(path) ||
    (path.length > 1 && path.endsWith('/') && matches(path.slice(0, -1)))
}
