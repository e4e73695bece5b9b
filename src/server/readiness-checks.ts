/** The named checks of `/readyz`. */
import type { OidcAuthenticator } from '../authentication/oidc.ts'
import type { Auditor } from '../audit/record.ts'
import type { Watcher } from '../config/watch.ts'
import type { Check } from './probes.ts'
import type { UpstreamReadiness } from './upstream-readiness.ts'

export interface ReadinessParts {
  readonly listening: () => boolean
  readonly ending: () => string | undefined
  readonly reloads: () => Watcher | undefined
  readonly auditor: Auditor
  readonly oidc: OidcAuthenticator | undefined
  readonly upstream: UpstreamReadiness
}

/** Makes the checks; the issuers among them follow the configuration of the moment. */
export function readinessChecks(parts: ReadinessParts): () => readonly Check[] {
  const { upstream, auditor, oidc } = parts
  const fixed: readonly Check[] = [
    { name: 'shutdown', run: parts.ending },
    { name: 'listener', run: () => (parts.listening() ? undefined : 'not listening') },
    {
      name: 'configuration',
      run: () => undefined,
      // One bad file must not take every replica out of service: the last good one is in force.
      note: () => {
        const failures = parts.reloads()?.failures() ?? new Map<string, string>()
        const notes = [...failures].map(([what, why]) => `reload of ${what} failed: ${why}`)
        return notes.length === 0 ? undefined : notes.join('; ')
      },
    },
    { name: 'audit', run: () => auditor.healthy() },
  ]
  const behind: readonly Check[] = [
    { name: 'upstream-reachable', run: () => upstream.last().reachable },
    { name: 'upstream-rejects-anonymous', run: () => upstream.last().rejectsAnonymous },
    { name: 'upstream-asserts-identity', run: () => upstream.last().assertsIdentity },
  ]
  return () => {
    const issuers = (oidc?.readiness() ?? []).map(({ issuer, problem }) => ({
      name: `jwks ${issuer}`,
      run: () => problem,
    }))
    return [...fixed, ...issuers, ...behind]
  }
}
