import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ownMember, parseJsonObject } from '../../../src/authentication/oidc/strict-json.ts'

const parse = (text: string) => parseJsonObject(Buffer.from(text))

describe('an object with duplicate member names is refused', () => {
  test.for([
    '{"a":1,"a":1}',
    '{"a":1,"b":{"c":1,"c":2}}',
    '{"a":[{"b":1},{"c":1,"c":2}]}',
    '{"a":1,"\\u0061":2}',
    '{"a" :1,"a"\n:2}',
    '{"\\"":1,"\\"":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
  ])('such as %s', (text) => {
    expect(() => parse(text)).toThrow(/two members with the same name/)
  })
})

describe('an object without duplicate member names is accepted', () => {
  test.for([
    '{"a":"a\\":"}',
    '{"a":"\\\\","b":"\\"b\\":"}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":2}]',
    '{"a":["a","a"],"A":1}',
    '{"__proto__":1,"constructor":2}',
  ])('such as %s', (text) => {
    const object = text.startsWith('[') ? `{"list":${text}}` : text
    expect(parse(object)).toEqual(JSON.parse(object))
  })
})

test.for(['', 'null', '1', '"a"', '[]', '{', '{"a":1}{"b":2}', "{'a':1}", '\ufeff{}', '{"a":NaN}'])(
  'the text %j is refused, since it is not a JSON object',
  (text) => {
    expect(() => parse(text)).toThrow()
  },
)

test('bytes that are not UTF-8 are refused', () => {
  expect(() => parseJsonObject(Buffer.from([...Buffer.from('{"a":"'), 0xff, 0x22, 0x7d]))).toThrow()
})

test('every object that JSON.stringify writes is read back', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const text = JSON.stringify(object)
      expect(parse(text)).toEqual(JSON.parse(text))
    }),
  )
})

test('a duplicate of any member is detected at any place', () => {
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
        expect(() => parse(`{${once},${text.slice(1)}`)).toThrow(/two members with the same name/)
        expect(() => parse(`${text.slice(0, -1)},${once}}`)).toThrow(
          /two members with the same name/,
        )
      },
    ),
  )
})

test('deep nesting is accepted', () => {
  const depth = 5_000
  expect(parse(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`)).toHaveProperty('a')
})

test('ownMember ignores inherited properties', () => {
  expect(ownMember(parse('{}'), 'constructor')).toBeUndefined()
  expect(ownMember(parse('{"__proto__":1}'), '__proto__')).toBe(1)
})
