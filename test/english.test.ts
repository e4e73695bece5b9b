/**
 * Keeps out the words and turns of phrase that native readers read twice. It is a short list, not a
 * style guide: CONTRIBUTING.md says how texts are written.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'

import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const SCRIPTS = ['.ts', '.js', '.mjs']
const TEXTS = [...SCRIPTS, '.go', '.json', '.md', '.sh', '.yaml', '.yml']
const files = execFileSync(
  'git',
  [
    ...['ls-files', 'src', 'dev', 'bench', 'certs-dev', 'deploy', 'docs', 'config'],
    ...['README.md', 'SECURITY.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  ],
  { cwd: root, encoding: 'utf8' },
)
  .trim()
  .split('\n')
  .filter((file) => TEXTS.includes(extname(file)))

/** Things that "is no" says nothing about but what they are not; "there is no" is fine. */
const NOUNS =
  'address|body|certificate|choice|configuration|credential|date|duration|file|filter|folder|groups?|' +
  'host|HTTP|identifiers?|JSON|key|list|maps?|mapping|method|name|namespace|number|object|part|path|' +
  'PEM|pod|port|problem|query|reason|request|secret|session|stream|string|text|time|token|URL|use|' +
  'user|value|version|whole number|YAML'

const HOUSE_WORDS: readonly (readonly [pattern: string, better: string])[] = [
  ['untold', 'suppressed'],
  ['dearest', 'most expensive'],
  ['mend(?:s|ed|ing)?', 'fix'],
  ['(?<!because |instead |out )of before', 'earlier'],
  ['(?<!as )of now', 'current'],
  ['whoever runs', 'administrator'],
  ['strangers?', 'unauthenticated client'],
  [`(?<!there )(?:is|are) no (?:${NOUNS})`, 'is not a, is not an'],
  ['ha(?:s|ve) not(?=[.;:)])', 'does not have'],
  ['(?:is|are) given up', 'closes, ends'],
  ['(?:is|are) told', 'is logged, is reported'],
]

/** A space in a pattern is also the break between two lines of a comment or paragraph. */
const patterns = HOUSE_WORDS.map(([pattern, better]) => ({
  regex: new RegExp(
    `\\b(?:${pattern.replaceAll(' ', '(?:[ \\t]+|\\s*\\n[ \\t]*(?:\\*|//|#|>)?[ \\t]*)')})(?!\\w)`,
    'gi',
  ),
  better,
}))

/** The text with everything but string literals and comments blanked out; lines stay where they are. */
function proseOf(file: string, text: string): string {
  if (!SCRIPTS.includes(extname(file))) return text
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest)
  const ranges: { readonly pos: number; readonly end: number }[] = []
  const visit = (node: ts.Node): void => {
    ranges.push(...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []))
    ranges.push(...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []))
    if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateMiddleOrTemplateTail(node) ||
      ts.isTemplateHead(node)
    ) {
      ranges.push({ pos: node.getStart(source), end: node.getEnd() })
    }
    for (const child of node.getChildren(source)) visit(child)
  }
  visit(source)
  const blank = text.replace(/[^\n]/g, '\u0000').split('')
  for (const { pos, end } of ranges) for (let at = pos; at < end; at++) blank[at] = text[at] ?? ''
  return blank.join('')
}

function houseWordsIn(file: string, text: string): string[] {
  const prose = proseOf(file, text)
  return patterns.flatMap(({ regex, better }) =>
    [...prose.matchAll(regex)].map(({ 0: found, index }) => {
      const line = prose.slice(0, index).split('\n').length
      return `${file}:${line}: ${found.replaceAll(/\s+/g, ' ')} (write: ${better})`
    }),
  )
}

const MAX_CELL = 200

function longCellsIn(file: string, text: string): string[] {
  let isFenced = false
  return text.split('\n').flatMap((line, i) => {
    if (line.startsWith('```')) isFenced = !isFenced
    if (isFenced || !line.startsWith('|')) return []
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
    // A line of dashes is as long as prettier makes the column.
    const long = cells.filter((cell) => cell.length > MAX_CELL && !/^:?-+:?$/.test(cell))
    return long.map(
      (cell) => `${file}:${i + 1}: a cell of ${cell.length} characters (write: a section)`,
    )
  })
}

describe('the search', () => {
  test.for([
    ['a.md', 'This is\nno key.'],
    ['a.md', 'What is told once'],
    ['a.md', 'of a kind that this machine has not.'],
    ['a.yaml', '# whoever\n  # runs it'],
    ['a.ts', '/** A stranger */'],
    ['a.ts', '/**\n * The versions of\n * before.\n */\nexport const a = 1'],
    ['a.ts', "log.warn('this is for you to mend')"],
    ['a.ts', 'const a = `${b} is no URL`'],
  ] as const)('finds the house word in %s: %j', ([file, text]) => {
    expect(houseWordsIn(file, text)).toHaveLength(1)
  })

  test.for([
    ['a.md', 'There is no key, and as of now it is no longer needed.'],
    ['a.md', 'We recommend the amended text instead of before.'],
    ['a.ts', 'for (const stranger of before) untold(stranger)'],
    ['a.ts', '// The end of\nconst before = 1'],
  ] as const)('accepts %s: %j', ([file, text]) => {
    expect(houseWordsIn(file, text)).toEqual([])
  })

  test('finds long table cells outside of code', () => {
    const row = `| a | ${'b'.repeat(MAX_CELL + 1)} |`
    expect(longCellsIn('a.md', `${row}\n\`\`\`\n${row}\n\`\`\``)).toEqual([
      'a.md:1: a cell of 201 characters (write: a section)',
    ])
    expect(longCellsIn('a.md', `| a \\| b | ${'-'.repeat(300)} |`)).toEqual([])
  })
})

test('texts and comments use the terms of the field', () => {
  expect(files.length).toBeGreaterThan(150)
  expect(
    files.flatMap((file) => houseWordsIn(file, readFileSync(join(root, file), 'utf8'))),
  ).toEqual([])
})

test('no table cell is longer than 200 characters', () => {
  const documents = files.filter((file) => file.endsWith('.md'))
  expect(documents.length).toBeGreaterThan(5)
  expect(
    documents.flatMap((file) => longCellsIn(file, readFileSync(join(root, file), 'utf8'))),
  ).toEqual([])
})
