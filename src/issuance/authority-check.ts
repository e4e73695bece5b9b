/**
 * Checks that the API server does not trust the issuing CAs for clients. If it did, a certificate that
 * Gatehouse issues would be a credential for the API server itself, past Gatehouse; under the CA of the
 * front proxy (`--requestheader-client-ca-file`), one for any user.
 */
import type { X509Certificate } from 'node:crypto'

import type { ReviewClient } from '../cluster/review-client.ts'
import { StatusError } from '../status.ts'
import { trustedBy } from './authority.ts'

export interface AuthorityCheck {
  /** @throws StatusError 503 while the API server trusts the CA, or the check is not possible */
  require(): Promise<void>
  /** For `/readyz`: why no certificate is issued, by the last check. If that is old, the next one begins. */
  problem(): string | undefined
  readonly wasTried: boolean
  /** Checks again: the CA has changed. */
  again(): void
}

export interface AuthorityCheckOptions {
  /** Whether certificates are issued although Gatehouse may not read the CAs, or there are none to read. */
  readonly tolerateUnchecked: boolean
}

export interface AuthorityCheckEffects {
  readonly reviewClient: Pick<ReviewClient, 'get'>
  /** The CA that signs, and earlier ones: the API server may trust what they have signed as well. */
  readonly authorities: () => readonly X509Certificate[]
  /** CAs of others that Gatehouse itself knows, PEM, and what names them. */
  readonly others: () => readonly { readonly what: string; readonly bundle: string }[]
  /** The CAs cannot be read, so that the check says nothing. */
  readonly onUnreadable: (status: number) => void
  /** Why no certificate is issued, when that has changed; undefined when certificates are issued again. */
  readonly onChange: (problem: string | undefined) => void
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/** Where kube-apiserver publishes the CAs that it trusts for clients, for aggregated API servers. */
const PATH = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication'
const BUNDLES = {
  'client-ca-file': '--client-ca-file',
  'requestheader-client-ca-file': '--requestheader-client-ca-file',
} as const
/** The CAs of an API server change more slowly than this; and a failed check is repeated soon. */
const LIFETIME_MS = 300_000
const RETRY_MS = 5_000
const OWN_CA = 'use only CAs of Gatehouse alone in authentication.issuedCertificates.caFile'
const READ_RIGHT =
  'grant the role kube-system/extension-apiserver-authentication-reader (deploy/kubernetes/10-rbac.yaml)'

interface Verdict {
  readonly problem: string | undefined
  readonly endsAt: number
}

/** Creates the check. It asks the API server with the first `require` or `again`, and when a verdict is old. */
export function createAuthorityCheck(
  { tolerateUnchecked }: AuthorityCheckOptions,
  effects: AuthorityCheckEffects,
): AuthorityCheck {
  const { reviewClient, authorities, others, onUnreadable, onChange, now } = effects
  let verdict: Verdict | undefined
  let running: Promise<Verdict> | undefined
  let generation = 0
  let reported: string | undefined

  async function check(): Promise<Verdict> {
    const current = generation
    const made = await judge()
    if (current !== generation) return check()
    verdict = made
    report(made)
    return made
  }

  function report({ problem }: Verdict): void {
    if (problem === reported) return
    reported = problem
    onChange(problem)
  }

  async function judge(): Promise<Verdict> {
    for (const { what, bundle } of others()) {
      const trusted = trustedBy(authorities(), bundle)
      if (trusted === undefined) continue
      return { problem: `${trusted} is trusted by ${what}: ${OWN_CA}`, endsAt: now() + RETRY_MS }
    }
    try {
      const { status, body } = await reviewClient.get(PATH)
      if (status === 200) {
        const problem = trustProblem(authorities(), bundlesOf(body))
        return { problem, endsAt: now() + (problem === undefined ? LIFETIME_MS : RETRY_MS) }
      }
      if (status === 403 || status === 404) {
        if (!tolerateUnchecked) return { problem: unreadable(status), endsAt: now() + RETRY_MS }
        onUnreadable(status)
        return { problem: undefined, endsAt: now() + LIFETIME_MS }
      }
      throw new Error(`the API server responded with ${status}`)
    } catch (error) {
      const problem = `the CAs of the API server cannot be read: ${(error as Error).message}`
      return { problem, endsAt: now() + RETRY_MS }
    }
  }

  function inEffect(): Verdict | Promise<Verdict> {
    if (verdict !== undefined && now() < verdict.endsAt) return verdict
    return (running ??= check().finally(() => (running = undefined)))
  }

  return {
    async require() {
      const { problem } = await inEffect()
      if (problem === undefined) return
      throw new StatusError(
        'ServiceUnavailable',
        'no certificate can be issued at present: contact your Gatehouse administrator',
        { cause: new Error(problem) },
      )
    },
    problem() {
      // Without a request for a certificate, nothing else would notice that an old verdict has changed; and
      // there are no requests while the check keeps Gatehouse from being ready.
      if (verdict !== undefined) void inEffect()
      return verdict?.problem
    },
    get wasTried() {
      return verdict !== undefined
    },
    again() {
      generation += 1
      verdict = undefined
      void inEffect()
    },
  }
}

/** @param status 403 without the right to read the CAs, 404 where they are not published */
function unreadable(status: number): string {
  return `Gatehouse cannot read which CAs the API server trusts for clients (status ${status}): ${READ_RIGHT}, or set authentication.issuedCertificates.tolerateUncheckedCA: true to accept this`
}

/**
 * Reads the CAs; there are none of a kind that the API server does not trust.
 *
 * @returns PEM, by the flag that names them
 * @throws Error when the object is not the expected one
 */
function bundlesOf({ kind, data }: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const isData = data === undefined || (typeof data === 'object' && !Array.isArray(data))
  if (kind !== 'ConfigMap' || !isData) throw new Error('the response is not a ConfigMap')
  const values = (data ?? {}) as Readonly<Record<string, unknown>>
  const bundles = new Map<string, string>()
  for (const [key, flag] of Object.entries(BUNDLES)) {
    const bundle = values[key] ?? ''
    if (typeof bundle !== 'string') throw new Error(`${key} is not text`)
    bundles.set(flag, bundle)
  }
  return bundles
}

function trustProblem(
  authorities: readonly X509Certificate[],
  bundles: ReadonlyMap<string, string>,
): string | undefined {
  for (const [flag, bundle] of bundles) {
    const trusted = trustedBy(authorities, bundle)
    if (trusted !== undefined) {
      return `the API server trusts ${trusted} for clients (${flag}): ${OWN_CA}`
    }
  }
  return undefined
}
