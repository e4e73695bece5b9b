/**
 * Checks that the API server does not trust the issuing CA for clients. If it did, a certificate that
 * Gatehouse issues would be a credential for the API server itself, past Gatehouse; under the CA of the
 * front proxy (`--requestheader-client-ca-file`), one for any user.
 */
import type { X509Certificate } from 'node:crypto'

import type { ReviewClient } from '../cluster/review-client.ts'
import { StatusError } from '../status.ts'
import { isTrustedBy } from './authority.ts'

export interface AuthorityCheck {
  /** @throws StatusError 503 while the API server trusts the CA, or the check is not possible */
  require(): Promise<void>
  /** For `/readyz`: why no certificate is issued; undefined while none is known. */
  problem(): string | undefined
  readonly wasTried: boolean
  /** Checks again, since the CA has changed. */
  again(): void
}

export interface AuthorityCheckEffects {
  readonly reviewClient: Pick<ReviewClient, 'get'>
  readonly authority: () => X509Certificate
  /** CAs of others that Gatehouse itself knows, PEM, and what names them. */
  readonly others: () => readonly { readonly what: string; readonly bundle: string }[]
  /** The CAs cannot be read, so that the check says nothing. */
  readonly onUnreadable: (status: number) => void
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
const OWN_CA = 'use a CA of Gatehouse alone in authentication.issuedCertificates.caFile'

interface Verdict {
  readonly problem: string | undefined
  readonly endsAt: number
}

/** Creates the check. It asks the API server with the first `require` or `again`, and when a verdict is old. */
export function createAuthorityCheck(effects: AuthorityCheckEffects): AuthorityCheck {
  const { reviewClient, authority, others, onUnreadable, now } = effects
  let verdict: Verdict | undefined
  let running: Promise<Verdict> | undefined
  let generation = 0

  async function check(): Promise<Verdict> {
    const current = generation
    const made = await judge()
    if (current !== generation) return check()
    verdict = made
    return made
  }

  async function judge(): Promise<Verdict> {
    const other = others().find(({ bundle }) => isTrustedBy(authority(), bundle))
    if (other !== undefined) {
      return {
        problem: `the issuing CA is trusted by ${other.what}: ${OWN_CA}`,
        endsAt: now() + RETRY_MS,
      }
    }
    try {
      const { status, body } = await reviewClient.get(PATH)
      if (status === 200)
        return { problem: trustProblem(authority(), body), endsAt: now() + LIFETIME_MS }
      // Without the right to read it, or where there is none, the administrator has to know.
      if (status === 403 || status === 404) {
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
    problem: () => verdict?.problem,
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

function trustProblem(
  authority: X509Certificate,
  { data }: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const [key, flag] of Object.entries(BUNDLES)) {
    const bundle = (data as Readonly<Record<string, unknown>> | null | undefined)?.[key]
    if (typeof bundle === 'string' && isTrustedBy(authority, bundle)) {
      return `the API server trusts the issuing CA for clients (${flag}): ${OWN_CA}`
    }
  }
  return undefined
}
