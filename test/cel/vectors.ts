import type { KubernetesVerdict } from '../support/kubernetes-authentication.ts'
import { readExpression, type ExpressionQuestion, type ExpressionReading } from './reading.ts'
import { randomExpressions } from './random-expressions.ts'
import { sampleClaims } from './sample-claims.ts'
import { usualExpressions } from './usual-expressions.ts'

/** An expression, and how kube-apiserver's own code reads it: one line of vectors.jsonl. */
export type Vector = readonly [expression: string, reading: Reading]

/** Without the texts of errors: `invalid` or `refused` is true. */
export interface Reading {
  readonly type?: string
  readonly invalid?: true
  readonly refused?: true
  readonly value?: string
}

const sampleUser = {
  ...{ username: 'oidc:ada', uid: 'u-1', groups: ['a', 'b'] },
  extra: { 'a/b': ['x', 'y'] },
}

const SEED = 20_261_128
const COUNT = 2_000

export function storedExpressions(): readonly string[] {
  return [...new Set([...usualExpressions, ...randomExpressions(SEED, COUNT)])]
}

export function questionOf(expression: string): ExpressionQuestion {
  const isOfUser = /\buser\b/.test(expression)
  return isOfUser
    ? { variable: 'user', expression, claims: sampleUser }
    : { variable: 'claims', expression, claims: sampleClaims }
}

/** What of a reading must be the same for both: all but the texts of errors. */
export function readingOf({
  type,
  invalid,
  refused,
  value,
}: ExpressionReading | KubernetesVerdict): Reading {
  if (invalid !== undefined) return { invalid: true }
  const known = type === undefined ? {} : { type }
  if (refused !== undefined) return { ...known, refused: true }
  return value === undefined ? known : { ...known, value }
}

export function gatehouseReading(expression: string): Reading {
  return readingOf(readExpression(questionOf(expression)))
}

/** Functions and forms that Gatehouse refuses to compile, whatever kube-apiserver makes of them. */
const UNSUPPORTED = /\b(?:quantity|isQuantity|format\.\w+)\(|google\.protobuf\.\w+\{|\.check\(/

/** Whether Gatehouse reads an expression as kube-apiserver does, or refuses it by name. */
export function isSameReading(expression: string, recorded: Reading): boolean {
  const reading = gatehouseReading(expression)
  if (reading.invalid === true && UNSUPPORTED.test(expression)) return true
  // An optional with an error in it, which fails when it is used; here it fails at once.
  if (recorded.value?.includes('some error') === true) return reading.refused === true
  return (
    reading.type === recorded.type &&
    reading.value === recorded.value &&
    reading.invalid === recorded.invalid &&
    reading.refused === recorded.refused
  )
}
