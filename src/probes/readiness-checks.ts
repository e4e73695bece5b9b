/** The checks of `/readyz`. */
import type { Auditor } from '../audit/record.ts'
import type { SignIn, SignInCheck } from '../authentication/sign-in.ts'
import type { Watcher } from '../config/watch.ts'
import type { Check } from './probes.ts'
import type { UpstreamReadiness } from './upstream-readiness.ts'

export interface ReadinessParts {
  readonly listening: () => boolean
  readonly ending: () => string | undefined
  readonly reloads: () => Watcher | undefined
  readonly auditor: Auditor
  readonly signIns: readonly Pick<SignIn, 'readiness'>[]
  readonly upstream: UpstreamReadiness
  /** Locks that are set while Gatehouse runs. */
  readonly lockStore: { readonly missing: string | undefined }
  /** Ends of sign-ins. */
  readonly revocations: { readonly missing: string | undefined }
  /** Who sends security events; undefined without any. */
  readonly transmitters?: Pick<SignIn, 'readiness'> | undefined
  /** Undefined without Redis. */
  readonly store: { readonly problem: string | undefined } | undefined
  /** Whether requests are refused while the store has a problem. */
  readonly needsStore: boolean
}

/** Creates the checks; those of authentication methods follow the current configuration. */
export function readinessChecks(parts: ReadinessParts): () => readonly Check[] {
  const { upstream, auditor, signIns, store, needsStore } = parts
  const fixed: readonly Check[] = [
    { name: 'shutdown', run: parts.ending },
    { name: 'listener', run: () => (parts.listening() ? undefined : 'not listening') },
    {
      name: 'configuration',
      run: () => undefined,
      // One invalid file must not take all replicas out of service: the last good version is in effect.
      note: () => {
        const reloads = parts.reloads()
        if (reloads === undefined) return undefined
        const notes = [
          ...[...reloads.failures()].map(([what, why]) => `reload of ${what} failed: ${why}`),
          ...[...reloads.held()].map(
            ([what, file]) => `${what} not reloaded: ${file} looks cut off`,
          ),
        ]
        return notes.length === 0 ? undefined : notes.join('; ')
      },
    },
    { name: 'audit', run: () => auditor.healthy() },
  ]
  // A replica that does not know who is locked, or which sessions have ended, would let them in.
  const lockChecks: readonly Check[] =
    store === undefined
      ? []
      : [
          { name: 'locks', run: () => parts.lockStore.missing },
          { name: 'revocations', run: () => parts.revocations.missing },
        ]
  const stateChecks: readonly Check[] =
    store === undefined
      ? []
      : [
          {
            name: 'redis',
            run: () => (needsStore ? store.problem : undefined),
            // Each replica goes on without Redis: no reason to take all of them out of service.
            note: () => (needsStore ? undefined : store.problem),
          },
        ]
  const upstreamChecks: readonly Check[] = [
    { name: 'upstream-reachable', run: () => upstream.last().reachable },
    { name: 'upstream-rejects-anonymous', run: () => upstream.last().rejectsAnonymous },
    { name: 'upstream-asserts-identity', run: () => upstream.last().assertsIdentity },
  ]
  const signInChecks = createSignInChecks(signIns)
  // Users can sign in without them, and what was received before stays in effect.
  const eventChecks = (): readonly Check[] =>
    (parts.transmitters?.readiness() ?? []).map(({ name, problem }) => ({
      ...{ name, run: () => undefined, note: () => problem },
    }))
  return () => [
    ...[...fixed, ...stateChecks, ...lockChecks],
    ...[...signInChecks(), ...eventChecks(), ...upstreamChecks],
  ]
}

/**
 * Creates the checks of all authentication methods. An unreachable issuer does not fail readiness
 * while there is another way to authenticate: all replicas would fail at the same time, for all other
 * users as well. Nor does a source of groups or a directory, on which only some users depend. At the start,
 * readiness waits until each check has been tried once, so that a rollout does not send users to a replica
 * that cannot authenticate them yet.
 */
export function createSignInChecks(
  signIns: readonly Pick<SignIn, 'readiness'>[],
): () => readonly Check[] {
  let started = false
  return () => {
    const methods = signIns.map((signIn) => signIn.readiness())
    const checks = methods.flat()
    started ||= checks.every(({ wasTried }) => wasTried)
    const canAuthenticate = methods.some(isUsable)
    return checks.map(({ name, problem, way }) => {
      const isNote = started && (canAuthenticate || way === undefined)
      return {
        name,
        run: () => (isNote ? undefined : problem),
        note: () => (isNote ? problem : undefined),
      }
    })
  }
}

/** A method without a way that has checks does not depend on other systems. */
function isUsable(checks: readonly SignInCheck[]): boolean {
  const ways = Map.groupBy(
    checks.filter(({ way }) => way !== undefined),
    ({ way }) => way,
  )
  if (ways.size === 0) return true
  return [...ways.values()].some((own) => own.every(({ problem }) => problem === undefined))
}
