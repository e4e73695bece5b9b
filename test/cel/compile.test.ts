import { describe, expect, test } from 'vitest'

import { compileExpression } from '../../src/cel/compile.ts'
import { createEnvironment } from '../../src/cel/environment.ts'
import { CelCostError, CelSyntaxError, CelValueError } from '../../src/cel/error.ts'
import { fromJson } from '../../src/cel/json-values.ts'
import type { Value } from '../../src/cel/values.ts'

const environment = createEnvironment({ claims: 'map(string, google.protobuf.Any)' })

function evaluate(text: string, claims: unknown = {}): Value {
  return compileExpression(text, environment).evaluate({ claims: fromJson(claims) })
}

function syntaxError(text: string): CelSyntaxError {
  try {
    compileExpression(text, environment)
  } catch (error) {
    if (error instanceof CelSyntaxError) return error
    throw error
  }
  throw new Error(`${text} compiles`)
}

describe('an expression that could run for long', () => {
  const groups = Array.from({ length: 400 }, (_, index) => `group-${index}`)

  test.for([
    'lists.range(2000).all(x, lists.range(2000).all(y, true))',
    'dyn(claims.groups).all(a, dyn(claims.groups).all(b, dyn(claims.groups).all(c, true)))',
    // Errors are absorbed by `exists`, but not this one.
    'dyn(claims.groups).exists(a, dyn(claims.groups).all(b, dyn(claims.groups).all(c, true))) || true',
    'lists.range(100000000)',
    "claims.text.replace('a', claims.text)",
    'lists.range(900).map(x, claims.text + claims.text)',
    "claims.text.findAll('a.*b|a')",
    'lists.range(3000).map(x, x).distinct()',
    'sets.equivalent(lists.range(3000).reverse(), lists.range(3000))',
    "lists.range(1000).map(x, '%s%s%s'.format([claims.copy, claims.copy, claims.copy]))",
  ])('is ended at the cost limit: %s', (text) => {
    const claims = { groups, text: 'a'.repeat(12_000), copy: 'a'.repeat(12_000) }
    const copied = text.replaceAll('claims.copy', 'dyn(claims.copy)')
    expect(() => evaluate(copied, claims)).toThrow(CelCostError)
  })

  // Each passes over the whole text again, without a text among its arguments.
  test.for([
    ['semver', 'compareTo(v) == 0', `1.0.0-${'a.'.repeat(7_000)}a`],
    ['semver', 'isLessThan(v) == false', `1.0.0-${'a.'.repeat(7_000)}a`],
    ['url', "getPort() == '1'", `http://[::1]:${'0'.repeat(14_000)}1`],
    // No parameter is valid, so the result is empty.
    ['url', 'getQuery().size() == 0', `http://h/?${'a;b&'.repeat(4_000)}`],
  ] as const)('is ended at the cost limit: %s and %s', ([of, call, long]) => {
    const list = Array.from({ length: 8_000 }, () => 'a')
    const text = `[${of}(dyn(claims.long))].all(v, dyn(claims.list).all(x, v.${call} || true))`
    expect(() => evaluate(text, { list, long })).toThrow(CelCostError)
    expect(evaluate(text, { list: ['a'], long })).toBe(true)
  })

  test('is not one that goes once through all groups of a large token', () => {
    expect(
      evaluate("dyn(claims.groups).filter(g, g.matches('^group-[0-9]+$')).size()", { groups }),
    ).toBe(400n)
  })

  test('may have loops of any depth over a few elements', () => {
    const text = '[1, 2].all(a, [1, 2].all(b, [1, 2].all(c, [1, 2].all(d, a + b + c + d > 0))))'
    expect(evaluate(text)).toBe(true)
  })
})

describe('a pattern', () => {
  // A backtracking engine needs exponential time for it.
  test('is matched in linear time', () => {
    const text = `${'a'.repeat(12_000)}!`
    expect(evaluate("claims.text.matches('^(a+)+$')", { text })).toBe(false)
    expect(evaluate('claims.text.matches(claims.pattern)', { text, pattern: '^(a|a)*$' })).toBe(
      false,
    )
  })

  test('that is not valid does not compile; one of a claim gives no value', () => {
    expect(syntaxError("claims.sub.matches('(')").offset).toBe(19)
    expect(syntaxError("claims.sub.find('(?=a)')")).toBeInstanceOf(CelSyntaxError)
    expect(() => evaluate('claims.sub.matches(claims.sub)', { sub: '(' })).toThrow(CelValueError)
  })

  test('of a claim is limited in length and size', () => {
    const matches = (pattern: string) => () => evaluate("'a'.matches(claims.pattern)", { pattern })
    expect(matches('a'.repeat(1_001))).toThrow(/longer than 1000 characters/)
    expect(matches('(?:(?:a{1,50}){1,50}){1,50}')).toThrow(CelValueError)
  })
})

describe('the case of letters', () => {
  // U+212A KELVIN SIGN is "k" in Unicode's lower case: two people would have one name.
  test.for([
    ["'KELVIN \u212a İ É'.lowerAscii()", 'kelvin \u212a İ É'],
    ["'straße \u017f é'.upperAscii()", 'STRAßE \u017f é'],
  ])('changes in ASCII only: %s', ([text, value]) => {
    expect(evaluate(text!)).toBe(value)
  })
})

describe('numbers', () => {
  test('of two types are equal by value where their types are not known', () => {
    expect(
      evaluate('claims.level == 1 && claims.level == 1.0 && dyn(1) == 1.0', { level: 1 }),
    ).toBe(true)
    expect(syntaxError('1 == 1.0').message).toMatch(/no matching overload/)
  })

  test('do not overflow', () => {
    expect(() => evaluate('9223372036854775807 + 1')).toThrow(/overflow/)
    expect(() => evaluate('int(claims.n)', { n: 1e19 })).toThrow(CelValueError)
  })
})

describe('names of fields', () => {
  test('are only those that the claims have of their own', () => {
    const claims = JSON.parse('{"__proto__":"p","sub":"ada"}') as unknown
    expect(evaluate("claims['__proto__']", claims)).toBe('p')
    expect(evaluate("has(claims.constructor) || 'toString' in claims", claims)).toBe(false)
    expect(evaluate("{'__proto__': 'x'}['__proto__']")).toBe('x')
  })
})

describe('an expression that does not compile', () => {
  test.for<[string, number, RegExp]>([
    ['claims.sub ==', 13, /unexpected the end/],
    ['claims.sub.foo()', 10, /undeclared reference to 'foo'/],
    ['sub', 0, /undeclared reference to 'sub'/],
    ['claims.roles.map(r, r)', 6, /convert it with dyn\(\)/],
    ["'a' + 1", 0, /no matching overload for '_\+_'/],
    ["quantity('1')", 0, /the function quantity is not supported/],
    ['Foo{a: 1}', 0, /messages are not supported/],
    ["'\\q'", 0, /invalid escape sequence/],
    ["'x", 0, /does not end/],
    ['1 + \u2603', 4, /unexpected character "☃"/],
    ['('.repeat(300) + '1' + ')'.repeat(300), 250, /nested too deeply/],
    [`claims${'.a'.repeat(300)}`, 506, /nested too deeply/],
    ['x'.repeat(100_001), 0, /longer than 100000 characters/],
  ])('names the place and the reason: %j', ([text, offset, message]) => {
    const error = syntaxError(text)
    expect(error.message).toMatch(message)
    expect(error.offset).toBe(offset)
  })
})

test.each([
  'type(claims.a) in [].filter(x, true)',
  '[int].exists(x, x == int)',
  'optional.of(int).optMap(v, v == int)',
])('a variable that has a type as its value is refused, as by cel-go: %s', (text) => {
  expect(syntaxError(text).message).toMatch(/reference to undefined type: [vx]/)
})

test.each(["url('https://a.example')", "semver('1.2.3')", "ip('192.0.2.1')"])(
  'a condition does not give an optional with %s, which kube-apiserver could not use',
  (value) => {
    const text = `claims.?a.optMap(a, ${value})`
    expect(() => evaluate(text, { a: 1 })).toThrow(CelValueError)
    expect(evaluate(`${text}.hasValue()`, {})).toBe(false)
  },
)

test.each<readonly [text: string, expected: Value]>([
  ['dyn(claims.?a.optMap(a, optional.of(2)).value()) == 2', true],
  ['dyn(claims.?a.optMap(a, optional.none())).value() == null', true],
  ["claims.?a.optMap(a, type(1)).value() == dyn('int')", true],
])('a condition leaves the content of an optional, as in cel-go: %s', (text, expected) => {
  expect(evaluate(text, { a: 1 })).toBe(expected)
})
