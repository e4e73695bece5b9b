/**
 * Forwards nothing while it is not certain that the API server takes the asserted identity for the
 * user. An API server that ignores the headers carries every request out as Gatehouse itself: in
 * requestheader mode, one that verifies Gatehouse's certificate by its own client CA does.
 */
import { UpstreamError } from './errors.ts'
import type { IdentityNames } from './identity.ts'

/**
 * What a check found out: the API server recognized the asserted user, another user, or refused the
 * request; `unknown` when it did not respond, or is overloaded.
 */
export type IdentityVerdict = 'asserted' | 'ignored' | 'refused' | 'unknown'

export interface IdentityFinding {
  readonly verdict: IdentityVerdict
  /** For readiness and the log; undefined when the identity was asserted. */
  readonly problem: string | undefined
}

/** How long requests are still forwarded after the API server was last seen to accept identities. */
export const VERDICT_HOLDS_MS = 60_000

export interface IdentityGate {
  /** @throws UpstreamError 503 while nothing may be forwarded */
  check(): void
  /**
   * Begins a check of the credential in effect. Call the returned function with what was found; it does
   * nothing when another credential has come into force meanwhile.
   */
  begin(): (finding: IdentityFinding) => void
  /** A credential comes into force, which `finding` is about; undefined: it was not checked yet. */
  replaced(finding: IdentityFinding | undefined): void
}

export interface IdentityGateOptions {
  readonly mode: IdentityNames['mode']
}

export interface IdentityGateEffects {
  /** The API server ignores identities: what runs at present may run as Gatehouse itself. */
  readonly onIgnored: () => void
  /** Monotonic clock, in milliseconds. */
  readonly now?: () => number
}

/**
 * Makes the gate. In requestheader mode it is closed until a check has passed. In impersonation mode
 * it is open until a check finds that the API server ignores the headers: an API server refuses by
 * itself what Gatehouse may not impersonate.
 */
export function createIdentityGate(
  { mode }: IdentityGateOptions,
  { onIgnored, now = () => performance.now() }: IdentityGateEffects,
): IdentityGate {
  const isStrict = mode === 'requestheader'
  let problem = isStrict ? 'it has not been checked yet' : undefined
  /** When the last verdict ends to hold, once the API server is unreachable. */
  let holdsUntil = Infinity
  let credential = 0

  function conclude({ verdict, problem: found }: IdentityFinding): void {
    if (verdict === 'unknown') return
    const wasOpen = problem === undefined
    const isOpen = verdict === 'asserted' || (verdict === 'refused' && !isStrict)
    problem = isOpen ? undefined : (found ?? verdict)
    holdsUntil = isStrict ? now() + VERDICT_HOLDS_MS : Infinity
    if (wasOpen && verdict === 'ignored') onIgnored()
  }

  return {
    check() {
      if (problem !== undefined) throw closed(problem)
      if (holdsUntil !== Infinity && now() > holdsUntil) {
        throw closed(`the API server has not confirmed it for ${VERDICT_HOLDS_MS / 1_000} s`)
      }
    },
    begin() {
      const checked = credential
      return (finding) => {
        if (checked === credential) conclude(finding)
      }
    },
    replaced(finding) {
      credential += 1
      if (finding !== undefined) conclude(finding)
    },
  }
}

/** Nothing was sent, so that clients may repeat any request. */
function closed(problem: string): UpstreamError {
  return new UpstreamError(
    'identity',
    'ServiceUnavailable',
    'Gatehouse cannot make sure that the API server takes this request for yours; ' +
      'retry, and contact your Gatehouse administrator if this persists',
    { headers: { 'Retry-After': '1' }, cause: new Error(problem) },
  )
}
