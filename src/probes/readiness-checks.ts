/** The named checks of `/readyz`. */
import type { Auditor } from '../audit/record.ts'
import type { IssuerReadiness, OidcAuthenticator } from '../authentication/oidc/oidc.ts'
import type { Watcher } from '../config/watch.ts'
import type { Check } from './probes.ts'
import type { UpstreamReadiness } from './upstream-readiness.ts'

export interface ReadinessParts {
  readonly listening: () => boolean
  readonly ending: () => string | undefined
  readonly reloads: () => Watcher | undefined
  readonly auditor: Auditor
  readonly oidc: Pick<OidcAuthenticator, 'readiness'> | undefined
  /** Whether users may sign in by client certificate, whatever becomes of the issuers. */
  readonly x509: boolean
  readonly upstream: UpstreamReadiness
}

/** Makes the checks; the issuers among them follow the configuration of the moment. */
export function readinessChecks(parts: ReadinessParts): () => readonly Check[] {
  const { upstream, auditor, oidc, x509 } = parts
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
  const issuerChecks = createIssuerChecks(x509)
  return () => [...fixed, ...issuerChecks(oidc?.readiness() ?? []), ...behind]
}

/**
 * An issuer that is out of reach does not fail readiness while there is another way to sign in:
 * every replica sees it at the same time, so all of them would go and take the others' users along.
 * Only a start waits until each issuer was tried once, so that a rollout does not send users to a
 * replica that knows nobody yet.
 */
export function createIssuerChecks(
  x509: boolean,
): (issuers: readonly IssuerReadiness[]) => readonly Check[] {
  let started = false
  return (issuers) => {
    started ||= issuers.every(({ wasTried }) => wasTried)
    const canSignIn = x509 || issuers.some(({ problem }) => problem === undefined)
    const isNote = started && canSignIn
    return issuers.map(({ issuer, problem }) => ({
      name: `jwks ${issuer}`,
      run: () => (isNote ? undefined : problem),
      note: () => (isNote ? problem : undefined),
    }))
  }
}
