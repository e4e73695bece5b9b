import { describe, expect, test } from 'vitest'
import { isInt64 } from '../../src/request/int64.ts'
import { firstValues, isTrue } from '../../src/request/query.ts'
import { refusal } from './refusal.ts'

describe('the first values of parameters', () => {
  test.for<[query: string, a: string | undefined, bc: string | undefined]>([
    ['', undefined, undefined],
    ['a', '', undefined],
    ['a=', '', undefined],
    ['a=1&bc=2', '1', '2'],
    ['bc=2&a=1', '1', '2'],
    ['a=1&a=2', '1', undefined],
    ['a=&a=2', '', undefined],
    ['A=1&b=2&c=3&abc=4', undefined, undefined],
    ['a=b=c', 'b=c', undefined],
    ['=a&&bc', undefined, ''],
    ['%61=1&b%63=2', '1', '2'],
    ['%61%3D=1&bc%=2', undefined, undefined],
    ['%FF=1&a=2', '2', undefined],
    ['a+=1', undefined, undefined],
    ['a=1+2%2B3', '1 2+3', undefined],
    ['a=%C3%A9', 'é', undefined],
    // Go drops these pairs, so the next one with the same name counts.
    ['a=1;bc=2', undefined, undefined],
    ['a=1;&a=2', '2', undefined],
    ['a=%zz&a=2', '2', undefined],
    ['a=%4&a=2', '2', undefined],
    ['a=%&bc=%41', undefined, 'A'],
  ])('of the query %j are %j and %j', ([query, a, bc]) => {
    expect(firstValues(query, ['a', 'bc'])).toEqual([a, bc])
  })

  test('are refused if they are not UTF-8', () => {
    expect(refusal(() => firstValues('a=%FF', ['a'])).code).toBe(400)
  })
})

test.for([
  [undefined, false],
  ['0', false],
  ['false', false],
  ['False', false],
  ['fal\u017fe', false],
  ['', true],
  ['true', true],
  ['no', true],
  ['00', true],
  ['f', true],
  [' false', true],
  ['false\n', true],
] as const)('the boolean parameter %j is %s', ([value, expected]) => {
  expect(isTrue(value)).toBe(expected)
})

describe('a 64-bit number', () => {
  test.for([
    ...['0', '7', '+7', '-7', '007', '-0', '+0', '9223372036854775807', '+9223372036854775807'],
    ...['-9223372036854775808', `${'0'.repeat(50_000)}1`, `-${'0'.repeat(40)}9223372036854775808`],
  ])('is %j', (text) => {
    expect(isInt64(text)).toBe(true)
  })

  test.for([
    ...['', '+', '-', '--1', '+-1', ' 1', '1 ', '1\n', '1.0', '1e3', '0x10', '1_000', '٣', '5s'],
    ...['9223372036854775808', '-9223372036854775809', '9'.repeat(20), `${'0'.repeat(50_000)}x`],
  ])('is not %j', (text) => {
    expect(isInt64(text)).toBe(false)
  })
})
