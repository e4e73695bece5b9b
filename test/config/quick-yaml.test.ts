import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { parseWithPositions } from '../../src/config/positioned-yaml.ts'
import { parseQuickly } from '../../src/config/quick-yaml.ts'

const root = resolve(import.meta.dirname, '../..')

/** Whether both parsers read the same; or the quick one leaves the text to the other. */
function agree(text: string): boolean {
  const quick = parseQuickly(text)
  if (quick === undefined) return true
  const { raw, problems } = parseWithPositions('test.yaml', text)
  return problems.length === 0 && isDeepStrictEqual(quick, raw)
}

/** Every YAML file of the repository, and every YAML block of its documents. */
const corpus = [
  ...globSync('{config,deploy/**}/*.yaml', { cwd: root }),
  ...globSync('{docs/*,*}.md', { cwd: root }),
].flatMap((file) => {
  const text = readFileSync(resolve(root, file), 'utf8')
  if (!file.endsWith('.md')) return [text]
  return [...text.matchAll(/```yaml\n([^]*?)```/g)].map(([, block = '']) => block)
})

test('the configuration, rules and issuers that are shipped are read quickly', () => {
  for (const name of ['gatehouse', 'rules', 'authentication']) {
    const text = readFileSync(resolve(root, `config/${name}.yaml`), 'utf8')
    const { raw } = parseWithPositions(name, text)
    expect(parseQuickly(text)).toEqual(raw)
  }
})

test('both parsers read the same in every YAML of the repository', () => {
  expect(corpus.length).toBeGreaterThan(15)
  expect(corpus.filter((text) => !agree(text))).toEqual([])
})

test.for([
  ['an anchor and an alias', 'a: &x 1\nb: *x'],
  ['an alias without an anchor', 'a: *x'],
  ['a duplicate key', 'a: 1\nb: 2\na: 3'],
  ['a duplicate key in a flow mapping', 'a: {b: 1, b: 2}'],
  ['a merge key', 'a: {b: 1}\n<<: {c: 2}'],
  ['a tag', 'a: !!str 1'],
  ['a tag of its own', 'a: !x 1'],
  ['a directive', '%YAML 1.1\n---\na: yes'],
  ['a second document', 'a: 1\n---\nb: 2'],
  ['the end of a document', 'a: 1\n...\nb: 2'],
  ['a complex key', '? [a]\n: b'],
  ['a flow collection as a key', '[a]: b'],
  ['a null key', 'null: 1'],
  ['a null key in a flow mapping', 'a: {null}'],
  ['an empty key', ': a'],
  ['an empty key in a flow sequence', 'a: [:]'],
  ['the key __proto__', 'a: {__proto__: {b: 1}}'],
  ['an escape', 'a: "\\x41"'],
  ['a tab', 'a:\t1'],
  ['a carriage return', 'a: 1\r\nb: 2\r\n'],
  ['a byte order mark', '\uFEFFa: 1'],
  ['a control character', 'a: b\u0007'],
  ['another line break', 'a: "b\u2028c"'],
  ['a number that is too large', 'a: 1e999'],
  ['a string over two lines', 'a: "b\n  c"'],
  ['words over two lines', 'a: b\n  c'],
  ['words over two lines, below a comment', 'a: # x\n# y\n  b\n  c\nd: e'],
  ['a flow sequence over two lines', 'a: [b,\n  c]'],
  ['text behind a flow mapping', 'a:\n- {b}c d[e: f]'],
  ['a block with a blank line', 'a: |\n  b\n\n  c'],
  ['a block whose first line is indented more', 'a: |\n    b\n  c'],
  ['a block with an indicator of its indentation', 'a: |2\n    b'],
  ['a sequence in place of a mapping', '- a'],
  ['no document', '# only a comment\n'],
])('%s is left to the parser with positions', ([, text]) => {
  expect(parseQuickly(text ?? '')).toBeUndefined()
})

test.for([
  ...[
    '0o17',
    '017',
    '0x1F',
    '1_000',
    '0b11',
    '1e3',
    '.5',
    '5.',
    '-0',
    '+1',
    '.inf',
    '-.Inf',
    '.nan',
  ],
  ...['~', 'null', 'Null', 'true', 'True', 'TRUE', 'yes', 'no', 'on', 'off', 'y', 'n', 'NaN', ''],
  ...['2001-01-01', '12:30:45', '1.2.3', '9007199254740993', '0O17', '-0x1', '1e', '0x', '-', '='],
  ...[
    "'1'",
    '"true"',
    '"a # b: c"',
    '[]',
    '{}',
    '[a, 1, null]',
    '{a: 1, b: [c, {d: "e"}]}',
    '[a,]',
  ],
  ...['https://a.example/b?c', 'a:b', 'a #b', 'a#b', "it's", 'a, b', '-----BEGIN X-----'],
  ...['|\n    a\n     b: c', '|-\n    a', '>-\n    a\n    b'],
])('the value %j is read as by the parser with positions', (value) => {
  expect(agree(`a: ${value}\nb: [${value}]`)).toBe(true)
  expect(agree(`a:\n  b: ${value}`)).toBe(true)
  expect(agree(`a:\n  - b: ${value}\n    c: d\n  - ${value}`)).toBe(true)
})

describe('both parsers read the same in', () => {
  const fragments = fc.constantFrom(
    ...[
      'a',
      'b',
      'null',
      'true',
      '1',
      '0o17',
      '1e3',
      '.5',
      '~',
      'no',
      '-',
      '- ',
      '- - ',
      ': ',
      ':',
    ],
    ...['\n', '\n  ', '\n    ', '\n- ', '\n  - ', ' ', ',', ', ', '[', ']', '{', '}', '#', ' # c'],
    ...['"', "'", '"a"', "'b'", "''", '&x', '*x', '!t ', '%', '? ', '|\n', '>-\n    a\n', '---\n'],
    ...[
      '...\n',
      '[a, b]',
      '{a: 1}',
      '{a}',
      'a: ',
      'b: ',
      'a:\n',
      'a:\n  - ',
      '<<: ',
      '(',
      '/x',
      '=',
    ],
    ...['\t', '\r', 'é', '__proto__: ', '-----BEGIN X-----'],
  )
  const text = fc
    .tuple(fc.constantFrom('', 'k: ', 'k:\n  - '), fc.array(fragments, { maxLength: 10 }))
    .map(([before, parts]) => before + parts.join(''))
  const values = fc.array(
    fc.constantFrom(
      'a',
      'null',
      '1',
      '-',
      ': ',
      ':',
      ', ',
      '[',
      ']',
      '{',
      '}',
      "'x'",
      '""',
      ' ',
      '.',
    ),
    { maxLength: 8 },
  )
  const flows = fc
    .tuple(fc.constantFrom('k: [', 'k: {', 'k:\n- ['), values, fc.constantFrom(']', '}', '}\nb: c'))
    .map(([before, parts, after]) => `${before}${parts.join('')}${after}`)
  const changed = fc
    .record({
      lines: fc.constantFrom(...corpus.map((yaml) => yaml.split('\n'))),
      first: fc.nat(1_000),
      count: fc.integer({ min: 1, max: 15 }),
      changes: fc.array(fc.record({ at: fc.nat(1_000), cut: fc.nat(3), insert: fragments }), {
        maxLength: 3,
      }),
    })
    .map(({ lines, first, count, changes }) => {
      const from = first % lines.length
      return changes.reduce(
        (yaml, { at, cut, insert }) => {
          const position = at % (yaml.length + 1)
          return yaml.slice(0, position) + insert + yaml.slice(position + cut)
        },
        lines.slice(from, from + count).join('\n'),
      )
    })

  test.for([
    ['random pieces of YAML', text],
    ['random flow collections', flows],
    ['the YAML of the repository, changed in places', changed],
  ] as const)('%s', ([, texts]) => {
    let quick = 0
    fc.assert(
      fc.property(texts, (yaml) => {
        if (parseQuickly(yaml) !== undefined) quick += 1
        return agree(yaml)
      }),
      { numRuns: 4_000 },
    )
    // Otherwise nothing was compared.
    expect(quick).toBeGreaterThan(50)
  })
})
