import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ownMember, parseJsonObject } from '../../../src/authentication/oidc/strict-json.ts'

const parse = (text: string) => parseJsonObject(Buffer.from(text))

describe('a member name that stands twice is refused', () => {
  test.for([
    '{"a":1,"a":1}',
    '{"a":1,"b":{"c":1,"c":2}}',
    '{"a":[{"b":1},{"c":1,"c":2}]}',
    '{"a":1,"\\u0061":2}',
    '{"a" :1,"a"\n:2}',
    '{"\\"":1,"\\"":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
  ])('%s', (text) => {
    expect(() => parse(text)).toThrow(/twice/)
  })
})

describe('what only looks like it is not', () => {
  test.for([
    '{"a":"a\\":"}',
    '{"a":"\\\\","b":"\\"b\\":"}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":2}]',
    '{"a":["a","a"],"A":1}',
    '{"__proto__":1,"constructor":2}',
  ])('%s', (text) => {
    const object = text.startsWith('[') ? `{"list":${text}}` : text
    expect(parse(object)).toEqual(JSON.parse(object))
  })
})

test.for(['', 'null', '1', '"a"', '[]', '{', '{"a":1}{"b":2}', "{'a':1}", '\ufeff{}', '{"a":NaN}'])(
  'no JSON object: %j',
  (text) => {
    expect(() => parse(text)).toThrow()
  },
)

test('bytes that are no UTF-8 are refused', () => {
  expect(() => parseJsonObject(Buffer.from([...Buffer.from('{"a":"'), 0xff, 0x22, 0x7d]))).toThrow()
})

test('whatever JSON.stringify writes of an object is read back', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const text = JSON.stringify(object)
      expect(parse(text)).toEqual(JSON.parse(text))
    }),
  )
})

test('any member put in once more, at any place, is found', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }),
      fc.nat(),
      fc.jsonValue(),
      (object, index, value) => {
        const names = Object.keys(object)
        const name = names[index % names.length]!
        const text = JSON.stringify(object)
        const once = `${JSON.stringify(name)}:${JSON.stringify(value)}`
        expect(() => parse(`{${once},${text.slice(1)}`)).toThrow(/twice/)
        expect(() => parse(`${text.slice(0, -1)},${once}}`)).toThrow(/twice/)
      },
    ),
  )
})

test('deep nesting is no problem of its own', () => {
  const depth = 5_000
  expect(parse(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`)).toHaveProperty('a')
})

test('a member is the object’s own', () => {
  expect(ownMember(parse('{}'), 'constructor')).toBeUndefined()
  expect(ownMember(parse('{"__proto__":1}'), '__proto__')).toBe(1)
})
