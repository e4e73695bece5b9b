/** Against the real requestinfo.go: what it made of the requests in vectors.jsonl. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { methodAndTarget, usualRequests } from './usual-requests.ts'
import { gatehouseReading, infoOf, parseVectors, unrefusedReading } from './vectors.ts'

const vectors = parseVectors(readFileSync(join(import.meta.dirname, 'vectors.jsonl'), 'utf8'))

describe('a request that kube-apiserver has been asked about', () => {
  test('is refused with 400 or 405, or read as kube-apiserver reads it', () => {
    let accepted = 0
    const different = vectors.filter(([method, target, answer]) => {
      const reading = gatehouseReading({ method, target })
      if (typeof reading === 'number') return reading !== 400 && reading !== 405
      accepted++
      return !isSame(reading, infoOf(answer))
    })
    expect(different).toEqual([])
    expect(accepted).toBeGreaterThan(vectors.length / 3)
  })

  test('is never accepted where kube-apiserver refuses it', () => {
    const refused = vectors.filter(([, , { refused }]) => refused !== undefined)
    const accepted = refused.filter(
      ([method, target]) => typeof gatehouseReading({ method, target }) !== 'number',
    )
    expect(accepted).toEqual([])
    expect(refused.length).toBeGreaterThan(100)
  })

  test('is sent on by kube-apiserver, if accepted, with the path that came', () => {
    const rewritten = vectors.filter(
      ([method, target, { escaped }]) =>
        escaped !== undefined && typeof gatehouseReading({ method, target }) !== 'number',
    )
    expect(rewritten).toEqual([])
  })

  test('has the RequestInfo of kube-apiserver even where Gatehouse refuses the target', () => {
    let compared = 0
    const different = vectors.filter(([method, target, answer]) => {
      const reading = answer.refused === 'parse' ? undefined : unrefusedReading({ method, target })
      if (reading === undefined) return false
      compared++
      return !isSame(reading, infoOf(answer))
    })
    expect(different).toEqual([])
    expect(compared).toBeGreaterThan(vectors.length / 2)
  })
})

test.for(usualRequests)('%s is accepted, and read as kube-apiserver reads it', (line) => {
  const { method, target } = methodAndTarget(line)
  const answer = vectors.find((vector) => vector[0] === method && vector[1] === target)?.[2]
  expect(gatehouseReading({ method, target })).toEqual(infoOf(answer!))
})

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted(value: unknown): unknown {
  return Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1))
}
