/** Keys of a user's extra that an issuer may set (apimachinery `IsDomainPrefixedPath`, apiserver validation). */

const DOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const PATH = /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/
const RESERVED = /(?:^|\.)(?:kubernetes|k8s)\.io$/
const MAX_DOMAIN = 253

/** Why a key is refused; undefined if it is not. */
export function extraKeyProblem(key: string): string | undefined {
  if (key === '') return 'is required'
  const slash = key.indexOf('/')
  const domain = key.slice(0, slash)
  const path = key.slice(slash + 1)
  if (slash < 1 || path === '') return 'is not a domain and a path'
  if (key !== key.toLowerCase()) return 'is not in lower case'
  if (domain.length > MAX_DOMAIN || !DOMAIN.test(domain)) return 'does not begin with a domain'
  if (!PATH.test(path)) return 'has a path with characters that are not allowed'
  return RESERVED.test(domain) ? 'is in a domain that is reserved for Kubernetes' : undefined
}
