import { describe, expect, test } from 'vitest'

import type { IssuerReadiness } from '../../src/authentication/oidc.ts'
import { readiness } from '../../src/server/probes.ts'
import { createIssuerChecks } from '../../src/server/readiness-checks.ts'

const GOOD: IssuerReadiness = { issuer: 'https://good', problem: undefined, wasTried: true }
const DOWN: IssuerReadiness = { issuer: 'https://down', problem: 'ECONNREFUSED', wasTried: true }
const UNTRIED: IssuerReadiness = { issuer: 'https://new', problem: 'not yet', wasTried: false }

/** What `/readyz?verbose` says to these states, one after the other. */
function answers(x509: boolean, ...states: readonly (readonly IssuerReadiness[])[]) {
  const checks = createIssuerChecks(x509)
  return states.map((issuers) => {
    const { code, text } = readiness(checks(issuers), true)
    return [code, ...text.trimEnd().split('\n').slice(0, -1)]
  })
}

describe('at the start', () => {
  test('an issuer that was not tried yet fails readiness, whoever else could sign in', () => {
    expect(answers(true, [UNTRIED])).toEqual([[503, '[-]jwks https://new failed: not yet']])
    expect(answers(false, [GOOD, UNTRIED])).toEqual([
      [503, '[+]jwks https://good ok', '[-]jwks https://new failed: not yet'],
    ])
  })

  test('issuers that are all out of reach fail readiness, where nobody else could sign in', () => {
    expect(answers(false, [DOWN])).toEqual([[503, '[-]jwks https://down failed: ECONNREFUSED']])
  })

  test('one that is out of reach is a note beside one that is not, or beside certificates', () => {
    const note = '[+]jwks https://down ok (ECONNREFUSED)'
    expect(answers(false, [GOOD, DOWN])).toEqual([[200, '[+]jwks https://good ok', note]])
    expect(answers(true, [DOWN])).toEqual([[200, note]])
  })

  test('no issuers are no problem', () => {
    expect(answers(true, [])).toEqual([[200]])
  })
})

describe('after a reload', () => {
  test('an issuer that is new, and then out of reach, is a note', () => {
    const found = answers(false, [GOOD], [GOOD, UNTRIED], [GOOD, DOWN])
    expect(found.map(([code]) => code)).toEqual([200, 200, 200])
    expect(found[1]).toContain('[+]jwks https://new ok (not yet)')
  })

  test('that leaves only issuers out of reach, readiness fails, and comes back with one', () => {
    const codes = answers(false, [GOOD], [DOWN], [{ ...DOWN, problem: undefined }])
    expect(codes.map(([code]) => code)).toEqual([200, 503, 200])
  })
})
