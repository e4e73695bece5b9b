import { describe, expect, test } from 'vitest'

import type { SignInCheck } from '../../src/authentication/sign-in.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { readiness } from '../../src/probes/probes.ts'
import { createSignInChecks, readinessChecks } from '../../src/probes/readiness-checks.ts'

const check = (issuer: string, more: Partial<SignInCheck> = {}): SignInCheck => ({
  ...{ name: `jwks https://${issuer}`, problem: undefined, wasTried: true, way: issuer },
  ...more,
})
const GOOD = check('good')
const DOWN = check('down', { problem: 'ECONNREFUSED' })
const UNTRIED = check('new', { problem: 'not yet', wasTried: false })
/** The source of groups of the good issuer, on which only some of its users depend. */
const GROUPS = check('good', { name: 'groups https://good', problem: 'HTTP 500', way: undefined })

/** The responses of `/readyz?verbose` to these states, in order. */
function responses(x509: boolean, ...states: readonly (readonly SignInCheck[])[]) {
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
  test('an issuer that was not tried yet fails readiness, even with another way to authenticate', () => {
    expect(responses(true, [UNTRIED])).toEqual([[503, '[-]jwks https://new failed: not yet']])
    expect(responses(false, [GOOD, UNTRIED])).toEqual([
      [503, '[+]jwks https://good ok', '[-]jwks https://new failed: not yet'],
    ])
  })

  test('unreachable issuers fail readiness when there is no other way to authenticate', () => {
    expect(responses(false, [DOWN])).toEqual([[503, '[-]jwks https://down failed: ECONNREFUSED']])
  })

  test('an unreachable issuer is a note next to a reachable one or to client certificates', () => {
    const note = '[+]jwks https://down ok (ECONNREFUSED)'
    expect(responses(false, [GOOD, DOWN])).toEqual([[200, '[+]jwks https://good ok', note]])
    expect(responses(true, [DOWN])).toEqual([[200, note]])
  })

  test('readiness passes without issuers', () => {
    expect(responses(true, [])).toEqual([[200]])
  })
})

describe('a source of groups that does not work', () => {
  const note = '[+]groups https://good ok (HTTP 500)'

  test('is a note where only some users depend on it', () => {
    expect(responses(false, [GOOD, GROUPS])).toEqual([[200, '[+]jwks https://good ok', note]])
    expect(responses(false, [DOWN, GROUPS])).toEqual([
      [503, '[-]jwks https://down failed: ECONNREFUSED', note],
    ])
  })

  test('fails readiness where nobody can sign in without it, and another issuer takes that back', () => {
    const required = { ...GROUPS, way: 'good' }
    expect(responses(false, [GOOD, required])).toEqual([
      [503, '[+]jwks https://good ok', '[-]groups https://good failed: HTTP 500'],
    ])
    const other = '[+]jwks https://other ok'
    expect(responses(false, [GOOD, required, check('other')])).toEqual([
      [200, '[+]jwks https://good ok', note, other],
    ])
    expect(responses(true, [GOOD, required])).toEqual([[200, '[+]jwks https://good ok', note]])
  })

  test('that was not tried yet delays the start', () => {
    const untried = { ...GROUPS, problem: 'not checked yet', wasTried: false }
    expect(responses(true, [GOOD, untried])[0]?.[0]).toBe(503)
  })
})

describe('after a reload', () => {
  test('an issuer that is new, and then unreachable, is a note', () => {
    const found = responses(false, [GOOD], [GOOD, UNTRIED], [GOOD, DOWN])
    expect(found.map(([code]) => code)).toEqual([200, 200, 200])
    expect(found[1]).toContain('[+]jwks https://new ok (not yet)')
  })

  test('readiness fails when all issuers are unreachable, and passes again with one', () => {
    const codes = responses(false, [GOOD], [DOWN], [{ ...DOWN, problem: undefined }])
    expect(codes.map(([code]) => code)).toEqual([200, 503, 200])
  })
})

describe('a check stays one line', () => {
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
    store: undefined,
    needsStore: false,
    lockStore: { missing: undefined },
    revocations: { missing: undefined },
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

  test.for([
    [false, 200, '[+]redis ok (no route; [-]listener failed)'],
    [true, 503, '[-]redis failed: no route; [-]listener failed'],
  ] as const)('of a Redis that cannot be used (needed: %j)', ([needsStore, code, line]) => {
    const store = { problem: 'no route\n[-]listener failed' }
    const result = readiness(readinessChecks({ ...parts, store, needsStore })(), true)
    expect(result.code).toBe(code)
    expect(result.text.split('\n')).toContain(line)
  })

  test('when a reload has several problems', () => {
    const { message } = new ConfigError([problem, { ...problem, line: 7 }])
    const failures = () => new Map([['rules', message]])
    const held = () => new Map<string, string>()
    const reloads = () => ({ failures, held, poll: () => undefined, stop: () => undefined })
    const { code, text } = readiness(readinessChecks({ ...parts, reloads })(), true)
    expect(code).toBe(200)
    expect(text.split('\n')).toContain(
      '[+]configuration ok (reload of rules failed: rules.yaml:1:1: bad (fix); rules.yaml:7:1: bad (fix))',
    )
  })

  test.for(['\n', '\r', '\r\n', '\u2028'])('when the API server sends a message with %j', (end) => {
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

test('the text of another server imitates no check, and commands no terminal', () => {
  const forged = 'refused\n[+]other ok\u0085\u001b[2J\u009b1A\u202etxet'
  const shown = 'refused; [+]other ok; [2J 1A txet'
  const checks = [
    { name: 'a', run: () => forged },
    { name: 'b', run: () => undefined, note: () => forged },
  ]
  expect(readiness(checks, true)).toEqual({
    code: 503,
    text: `[-]a failed: ${shown}\n[+]b ok (${shown})\nreadyz check failed\n`,
  })
})
