/** Fields that a schema marks as files are found without a list of them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'

import { inputFile, outputFile } from '../../src/config/fields.ts'
import { readWithFiles } from '../../src/config/files.ts'
import { fileProblem, formatProblem } from '../../src/config/problem.ts'

const SCHEMA = z.strictObject({
  plugins: z
    .array(
      z
        .strictObject({
          name: z.string(),
          settingsFile: inputFile('settings', { reload: 'plugins' }).optional(),
        })
        .optional(),
    )
    .default([]),
  bundles: z.array(inputFile('bundle', { reload: 'bundles' })).optional(),
  nested: z
    .strictObject({
      deep: z.strictObject({ logFile: outputFile('log').default('default.log') }).prefault({}),
    })
    .prefault({}),
})

let folder = ''
const at = (name: string): string => join(folder, name)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-files-'))
  writeFileSync(at('there'), '')
})

afterEach(() => rmSync(folder, { recursive: true }))

function read(text: string) {
  writeFileSync(at('document.yaml'), text)
  const reading = readWithFiles(at('document.yaml'), SCHEMA)
  const problems = reading.problems.map((problem) =>
    formatProblem(problem).replaceAll(`${folder}/`, ''),
  )
  return { ...reading, problems }
}

describe('a field that the schema marks as a file', () => {
  test('is resolved relative to the document, in lists, optional fields and defaults', () => {
    const { value, problems, inputFiles } = read(
      'plugins: [{ name: a }, { name: b, settingsFile: there }]\nbundles: [./there]\n',
    )
    expect(problems).toEqual([])
    expect(value).toEqual({
      plugins: [{ name: 'a' }, { name: 'b', settingsFile: at('there') }],
      bundles: [at('there')],
      nested: { deep: { logFile: at('default.log') } },
    })
    expect(inputFiles).toEqual([at('there'), at('there')])
  })

  test('is checked, and its problem has its place', () => {
    const { value, problems, inputFiles } = read(
      [
        'plugins:',
        '  - name: a',
        '  - { name: b, settingsFile: missing }',
        'bundles:',
        '  - there',
        '  - .',
        'nested: { deep: { logFile: missing/log } }',
      ].join('\n'),
    )
    expect(problems).toEqual([
      'document.yaml:3:16: plugins[1].settingsFile: missing does not exist ' +
        '(create it, or correct the path)',
      `document.yaml:6:5: bundles[1]: ${folder} is a directory (name a file in it)`,
      'document.yaml:7:19: nested.deep.logFile: the directory missing does not exist ' +
        '(create it, or correct the path)',
    ])
    expect(inputFiles).toEqual([at('there')])
    expect(value).toBeUndefined()
  })

  test('is checked in a document with other problems', () => {
    const { value, problems } = read('bundles: [missing]\nplugin: []\n')
    expect(problems).toEqual([
      'document.yaml:2:1: plugin: unknown field (did you mean plugins?)',
      'document.yaml:1:11: bundles[0]: missing does not exist (create it, or correct the path)',
    ])
    expect(value).toBeUndefined()
  })

  test('gives no path when it has a problem', () => {
    const { fileAt } = read('bundles: [there, missing]\n')
    expect([0, 1, 2].map((i) => fileAt(['bundles', i]))).toEqual([
      at('there'),
      undefined,
      undefined,
    ])
  })
})

describe('a problem of a whole file', () => {
  test('gets the place of the field that names the file', () => {
    const { place } = read('bundles:\n  - there\n')
    expect(place(fileProblem(at('there'), 'is empty', 'write it'))).toEqual({
      ...{ file: at('document.yaml'), line: 2, column: 5, field: 'bundles[0]' },
      ...{ message: `${at('there')} is empty`, fix: 'write it' },
    })
  })

  test('gets the place of the field that the problem names', () => {
    const { place } = read('plugins:\n  - name: b\n')
    const problem = fileProblem('/x', 'is empty', 'write it', 'plugins[0].name')
    expect(place(problem)).toMatchObject({ line: 2, column: 5, field: 'plugins[0].name' })
  })

  test('stays as it is when the document has no such field', () => {
    const { place } = read('bundles: [there]\n')
    const other = fileProblem('/x', 'is empty', 'write it')
    const unknown = fileProblem('/x', 'is empty', 'write it', 'clusters[0].name')
    expect([place(other), place(unknown)]).toEqual([other, unknown])
  })

  test('stays as it is when it has a line', () => {
    const { place } = read('bundles: [there]\n')
    const problem = { ...fileProblem(at('there'), 'is wrong', 'write it'), line: 3, column: 1 }
    expect(place(problem)).toEqual(problem)
  })
})
