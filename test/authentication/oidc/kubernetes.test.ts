/** Compares with kube-apiserver's own code, whose verdicts are in documents.jsonl and tokens.jsonl. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { parseLines } from '../../support/kubernetes-authentication.ts'
import {
  documentDifference,
  groupsPrefix,
  storedDocuments,
  storedTokens,
  tokenDifference,
  tokenJudge,
  type DocumentVector,
  type TokenVector,
} from './kubernetes.ts'

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

describe('an AuthenticationConfiguration that kube-apiserver has judged', () => {
  const vectors = parseLines<DocumentVector>(read('documents.jsonl'))

  test('is accepted or refused alike, for the same fields', () => {
    const different = vectors.flatMap(([document, stricter, fields]) => {
      const why = documentDifference({ document, stricter: stricter ?? undefined }, fields)
      return why === undefined ? [] : [{ document, why }]
    })
    expect(different).toEqual([])
  })

  test('is one of many of each kind', () => {
    const accepted = vectors.filter(([, , fields]) => fields.length === 0)
    const readable = vectors.filter(([, , fields]) => !fields.includes('decode'))
    expect(accepted.length).toBeGreaterThan(150)
    expect(readable.length - accepted.length).toBeGreaterThan(200)
  })

  test('is one of those that are asked about now', () => {
    expect(vectors.map(([document]) => document)).toEqual(
      storedDocuments().map(({ document }) => document),
    )
  })
})

describe('a token that kube-apiserver has judged', () => {
  const vectors = parseLines<TokenVector>(read('tokens.jsonl'))

  test('is refused alike, or gives the same user', () => {
    const different = vectors.flatMap(([document, ...tokens]) => {
      const judge = tokenJudge(document)
      return tokens.flatMap(([payload, theirs]) => {
        const why = tokenDifference(judge(payload), theirs, groupsPrefix(document))
        return why === undefined ? [] : [{ document, payload, why }]
      })
    })
    expect(different).toEqual([])
  })

  test('is one of many of each kind', () => {
    const verdicts = vectors.flatMap(([, ...tokens]) => tokens.map(([, user]) => user))
    expect(verdicts.filter((user) => user !== null).length).toBeGreaterThan(400)
    expect(verdicts.filter((user) => user === null).length).toBeGreaterThan(500)
  })

  test('is one of those that are asked about now', () => {
    const stored = vectors.flatMap(([, ...tokens]) => tokens.map(([payload]) => payload))
    expect(stored.toSorted()).toEqual(
      storedTokens()
        .map(({ payload }) => payload)
        .toSorted(),
    )
  })
})
