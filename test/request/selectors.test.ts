import { describe, expect, test } from 'vitest'
import { requiredExactMatch } from '../../src/request/field-selector.ts'
import { isLabelSelector } from '../../src/request/label-selector.ts'

describe('a field selector', () => {
  test.for<[selector: string, value: string | undefined]>([
    ['', ''],
    [',,', ''],
    ['b=1', ''],
    ['a=1', '1'],
    ['a==1', '1'],
    ['a=', ''],
    ['a!=1', ''],
    ['a!=1,a=2', '2'],
    ['a=2,a=1', '1'],
    ['a=1,a==2', '1'],
    ['a==2,a=1', '1'],
    ['a=b,a==', ''],
    ['a=,a=1', ''],
    ['a=10,a=1', '1'],
    [' a=1', ''],
    ['a =1', ''],
    ['!=1', ''],
    ['a=\\\\\\,\\=', '\\,='],
    ['a=\uFFFD,a=\u{1F600}', '\uFFFD'],
    ['a=\u{1F600},a=\uFFFD', '\uFFFD'],
    ['a=\u{1F601},a=\u{1F600}', '\u{1F600}'],
    // These cannot be parsed.
    ['a', undefined],
    ['a=1,b', undefined],
    ['a===1', undefined],
    ['a=1=2', undefined],
    ['a!==1', undefined],
    ['a=1\\', undefined],
    ['a=1\\n', undefined],
    ['a=1,b=\\x', undefined],
  ])('%j requires a to be %j', ([selector, value]) => {
    expect(requiredExactMatch(selector, 'a')).toBe(value)
  })
})

describe('a label selector', () => {
  test.for([
    ...['', ' ', 'a', '!a', ' ! a ', 'a,b', 'a=1', 'a==1', 'a!=1', 'a=', 'a=,b', 'a!=', 'a>1'],
    ...[
      'a<0',
      'a in (b)',
      'a in(b,c)',
      'a notin (b, c)',
      'a in ()',
      'a in (,)',
      'a in (,b)',
      'a in (b,)',
    ],
    ...[
      'in',
      'notin',
      'in in (in)',
      'a=in',
      'example.com/a',
      'a/b in (c)',
      'A.b_c-d',
      'a\tin\r\n(b)',
    ],
    ...[
      'a'.repeat(63),
      `${'a'.repeat(253)}/b`,
      `a=${'b'.repeat(63)}`,
      'a > 007',
      'a\0',
      'a=\0b',
      '\0)',
    ],
  ])('is %j', (selector) => {
    expect(isLabelSelector(selector)).toBe(true)
  })

  test.for([
    ...[
      ',',
      'a,',
      ',a',
      'a,,b',
      '!',
      '!!a',
      '!a=1',
      'a b',
      'a=b c',
      'a = = b',
      '=',
      '=a',
      '(a)',
      'a)',
    ],
    ...[
      'a in',
      'a in b',
      'a in (',
      'a in (b',
      'a in (b c)',
      'a in (b))',
      'a in (b) c',
      'a in (=)',
      'a IN (b)',
    ],
    ...[
      'a>',
      'a>b',
      'a>1.5',
      'a>-1',
      'a>=1',
      'a<>1',
      'a===1',
      'a=!b',
      'a!b',
      '-a',
      'a-',
      'a=-',
      'a=b-',
      'é',
    ],
    ...['/a', 'a/', 'a/b/c', 'Example.com/a', 'a..b/c', '-a/b', 'a b/c', 'a\u00a0=b', 'a\v'],
    ...[
      'a'.repeat(64),
      `${'a'.repeat(254)}/b`,
      `a=${'b'.repeat(64)}`,
      'a>9223372036854775808',
      'a\0b',
    ],
  ])('is not %j', (selector) => {
    expect(isLabelSelector(selector)).toBe(false)
  })
})
