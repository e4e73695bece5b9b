/** Compares with Kubernetes' own CEL environment, whose results for many expressions are in vectors.jsonl. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseLines } from '../support/kubernetes-authentication.ts'
import { gatehouseReading, isSameReading, storedExpressions, type Vector } from './vectors.ts'

const vectors = parseLines<Vector>(readFileSync(join(import.meta.dirname, 'vectors.jsonl'), 'utf8'))

describe('an expression whose reading by kube-apiserver is recorded', () => {
  test('has the same type and value, is refused for the same claims, or does not compile either', () => {
    const different = vectors
      .filter(([expression, recorded]) => !isSameReading(expression, recorded))
      .map(([expression, recorded]) => ({
        expression,
        recorded,
        ours: gatehouseReading(expression),
      }))
    expect(different).toEqual([])
  })

  test('is one of each kind', () => {
    const count = (kind: 'value' | 'refused' | 'invalid') =>
      vectors.filter(([, reading]) => reading[kind] !== undefined).length
    expect(count('value')).toBeGreaterThan(1_000)
    expect(count('refused')).toBeGreaterThan(400)
    expect(count('invalid')).toBeGreaterThan(400)
  })

  test('is one of those that are asked about now', () => {
    expect(vectors.map(([expression]) => expression)).toEqual(storedExpressions())
  })
})
