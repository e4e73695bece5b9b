/** Compares with the real requestinfo.go, whose results for many requests are in vectors.jsonl. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { methodAndTarget, usualRequests } from './usual-requests.ts'
import {
  gatehouseReading,
  isSafeReading,
  isSameReading,
  parseVectors,
  unrefusedReading,
} from './vectors.ts'

const vectors = parseVectors(readFileSync(join(import.meta.dirname, 'vectors.jsonl'), 'utf8'))
const accepted = vectors.filter(
  ([method, target]) => typeof gatehouseReading({ method, target }) !== 'number',
)

describe('a request whose reading by kube-apiserver is recorded', () => {
  test('is refused with 400 or 405, or read as kube-apiserver reads it', () => {
    const different = vectors.filter(
      ([method, target, recorded]) =>
        !isSafeReading(gatehouseReading({ method, target }), recorded),
    )
    expect(different).toEqual([])
    expect(accepted.length).toBeGreaterThan(vectors.length / 3)
  })

  test('is never accepted where kube-apiserver refuses it', () => {
    expect(accepted.filter(([, , { refused }]) => refused !== undefined)).toEqual([])
    expect(vectors.filter(([, , { refused }]) => refused !== undefined).length).toBeGreaterThan(100)
  })

  test('is forwarded by kube-apiserver, if accepted, with an unchanged path', () => {
    expect(accepted.filter(([, , { escaped }]) => escaped !== undefined)).toEqual([])
    expect(vectors.filter(([, , { escaped }]) => escaped !== undefined).length).toBeGreaterThan(100)
  })

  test('has the RequestInfo of kube-apiserver even where Gatehouse refuses the target', () => {
    let compared = 0
    const different = vectors.filter(([method, target, recorded]) => {
      const reading =
        recorded.refused === 'parse' ? undefined : unrefusedReading({ method, target })
      if (reading === undefined) return false
      compared++
      return !isSameReading(reading, recorded)
    })
    expect(different).toEqual([])
    expect(compared).toBeGreaterThan(vectors.length / 2)
  })
})

test.for(usualRequests)('%s is accepted, and read as kube-apiserver reads it', (line) => {
  const { method, target } = methodAndTarget(line)
  const recorded = vectors.find((vector) => vector[0] === method && vector[1] === target)?.[2]
  expect(gatehouseReading({ method, target })).toEqual(recorded)
})
