import { describe, expect, test } from 'vitest'

import type { SignInCheck } from '../../src/authentication/sign-in.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { readiness } from '../../src/probes/probes.ts'
import { createSignInChecks, readinessChecks } from '../../src/probes/readiness-checks.ts'

const GOOD: SignInCheck = { name: 'jwks https://good', problem: undefined, wasTried: true }
const DOWN: SignInCheck = { name: 'jwks https://down', problem: 'ECONNREFUSED', wasTried: true }
const UNTRIED: SignInCheck = { name: 'jwks https://new', problem: 'not yet', wasTried: false }

/** What `/readyz?verbose` says to these states, one after the other. */
function answers(x509: boolean, ...states: readonly (readonly SignInCheck[])[]) {
  let issuers: readonly SignInCheck[] = []
  const certificates = { readiness: () => [] }
  const tokens = { readiness: () => issuers }
  const checks = createSignInChecks([...(x509 ? [certificates] : []), tokens])
  return states.map((state) => {
    issuers = state
    const { code, text } = readiness(checks(), true)
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

describe('a check is one line', () => {
  const problem = {
    file: 'rules.yaml',
    line: 1,
    column: 1,
    field: '',
    message: 'bad',
    fix: 'fix',
  }
  const parts = {
    listening: () => true,
    ending: () => undefined,
    reloads: () => undefined,
    auditor: {
      open: () => expect.fail('no request'),
      healthy: () => undefined,
      close: () => Promise.resolve(),
    },
    signIns: [],
    upstream: {
      last: () => ({
        reachable: undefined,
        rejectsAnonymous: undefined,
        assertsIdentity: undefined,
      }),
      again: () => undefined,
      stop: () => undefined,
    },
  }

  test('however many problems a reload has', () => {
    const { message } = new ConfigError([problem, { ...problem, line: 7 }])
    const failures = () => new Map([['rules', message]])
    const reloads = () => ({ failures, poll: () => undefined, stop: () => undefined })
    const { code, text } = readiness(readinessChecks({ ...parts, reloads })(), true)
    expect(code).toBe(200)
    expect(text.split('\n')).toContain(
      '[+]configuration ok (reload of rules failed: rules.yaml:1:1: bad (fix); rules.yaml:7:1: bad (fix))',
    )
  })

  test.for(['\n', '\r', '\r\n', '\u2028'])('whatever the API server says, %j in it', (end) => {
    const assertsIdentity = `refused: no${end}[+]upstream-asserts-identity ok${end}`
    const last = () => ({ ...parts.upstream.last(), assertsIdentity })
    const upstream = { ...parts.upstream, last }
    const { code, text } = readiness(readinessChecks({ ...parts, upstream })(), true)
    expect(code).toBe(503)
    expect(text.split(/[\r\n\u2028]/)).toContain(
      '[-]upstream-asserts-identity failed: refused: no; [+]upstream-asserts-identity ok',
    )
  })
})
