/** Compares the reading of AuthenticationConfiguration and of tokens with kube-apiserver's. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  loadAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from '../../../src/authentication/oidc/authentication-config.ts'
import type { ClaimMappings } from '../../../src/authentication/oidc/claim-mappings.ts'
import { readClaims } from '../../../src/authentication/oidc/compact-jws.ts'
import { checkRegisteredClaims } from '../../../src/authentication/oidc/registered-claims.ts'
import { userOf } from '../../../src/authentication/oidc/token-user.ts'
import { ConfigError, formatProblem, type ConfigProblem } from '../../../src/config/problem.ts'
import { StatusError } from '../../../src/status.ts'
import type { KubernetesUser, KubernetesVerdict } from '../../support/kubernetes-authentication.ts'
import { documentCases, type DocumentCase, type Stricter } from './configuration-corpus.ts'
import { tokenCases, type TokenCase } from './token-corpus.ts'

/** A document, why Gatehouse may refuse it alone, and the fields of kube-apiserver's problems. */
export type DocumentVector = readonly [
  document: string,
  stricter: Stricter | null,
  fields: string[],
]

/** A document, tokens for it, and for each the user or `null` for a refusal. */
export type TokenVector = readonly [
  document: string,
  ...tokens: (readonly [string, KubernetesUser | null])[],
]

export const storedDocuments = (): readonly DocumentCase[] => documentCases(20_261_128, 250)
export const storedTokens = (): readonly TokenCase[] => tokenCases(20_261_128, 1_500)

/** The fields of problems, as `jwt[0].issuer.url`; `decode` for a document that cannot be read. */
export function fieldsOf({ problems = [] }: KubernetesVerdict): string[] {
  const fields = problems.map((problem) => /^[^:]*/.exec(problem)![0])
  return [...new Set(fields)].sort()
}

/** How Gatehouse's reading of a document differs from kube-apiserver's; undefined if it does not. */
export function documentDifference(
  { document, stricter }: DocumentCase,
  fields: readonly string[],
): string | undefined {
  const problems = problemsOf(document)
  if (problems.length === 0)
    return fields.length === 0 ? undefined : `accepted, not ${fields.join(', ')}`
  const ours = problems.map(formatProblem).join('\n')
  if (problems.some(({ fix }) => fix === '')) return `no fix: ${ours}`
  if (fields.length === 0) return stricter === undefined ? `refused: ${ours}` : undefined
  if (fields.includes('decode')) return undefined
  const missed = fields.filter((field) => !problems.some((problem) => concerns(problem, field)))
  return missed.length === 0 ? undefined : `not reported: ${missed.join(', ')} in ${ours}`
}

/** A missing part is one problem, not one for each field that it would have to have. */
function concerns({ field, message }: ConfigProblem, theirs: string): boolean {
  const isMissing = message === 'is required' || message === 'has no value'
  return field === theirs || (isMissing && theirs.startsWith(`${field}.`))
}

function problemsOf(document: string): readonly ConfigProblem[] {
  try {
    withFile(document, loadAuthenticationConfiguration)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

function withFile<T>(document: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-kubernetes-'))
  try {
    const file = join(folder, 'authentication.yaml')
    writeFileSync(file, document)
    return use(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Judges tokens for the issuer of a document. */
export function tokenJudge(document: string): (payload: string) => KubernetesUser | string {
  const { issuers }: AuthenticationConfiguration = withFile(
    document,
    loadAuthenticationConfiguration,
  )
  const issuer = issuers[0]!
  return (payload) => {
    try {
      const claims = readClaims(Buffer.from(payload))
      const { url, audiences } = issuer
      checkRegisteredClaims(claims, { issuer: url, audiences, now: Date.UTC(2026, 0) })
      return userOf(claims, issuer)
    } catch (error) {
      if (error instanceof StatusError) return (error.cause as Error).message
      throw error
    }
  }
}

/** Refusals of tokens that kube-apiserver accepts. */
const STRICTER = /^the username claim \w+ is missing, empty or not a string$/

/** How Gatehouse's verdict on a token differs from kube-apiserver's; undefined if it does not. */
export function tokenDifference(
  ours: KubernetesUser | string,
  theirs: KubernetesUser | null,
  prefixOfGroups: string,
): string | undefined {
  if (theirs === null) return typeof ours === 'string' ? undefined : 'accepted'
  if (typeof ours === 'string') {
    return STRICTER.test(ours) ? undefined : `refused: ${ours}`
  }
  // Repetitions and groups that are a prefix alone are left out.
  const groups = [...new Set(theirs.groups ?? [])].filter((group) => group !== prefixOfGroups)
  const expected = {
    username: theirs.username,
    uid: theirs.uid ?? '',
    groups,
    extra: theirs.extra ?? {},
  }
  const actual = {
    ...{ username: ours.username, uid: ours.uid, groups: ours.groups },
    extra: ours.extra,
  }
  const same = JSON.stringify(sortedExtra(actual)) === JSON.stringify(sortedExtra(expected))
  return same ? undefined : `${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`
}

function sortedExtra(user: { readonly extra: KubernetesUser['extra'] }): unknown {
  return { ...user, extra: Object.entries(user.extra ?? {}).sort() }
}

export function groupsPrefix(document: string): string {
  const file = JSON.parse(document) as {
    jwt: { claimMappings: { groups?: ClaimMappings['username'] } }[]
  }
  return file.jwt[0]?.claimMappings.groups?.prefix ?? ''
}

/** Groups cases by their document. */
export function byDocument(
  cases: readonly TokenCase[],
  verdicts: readonly KubernetesVerdict[],
): TokenVector[] {
  const vectors = new Map<string, (readonly [string, KubernetesUser | null])[]>()
  for (const [i, { document, payload }] of cases.entries()) {
    const { user, problems } = verdicts[i]!
    if (problems !== undefined) throw new Error(`${document} is refused: ${problems.join(', ')}`)
    const tokens = vectors.get(document) ?? []
    vectors.set(document, [...tokens, [payload, user ?? null]])
  }
  return Array.from(vectors, ([document, tokens]): TokenVector => [document, ...tokens])
}
