import { expect, test } from 'vitest'

import { ConfigError, type ConfigProblem } from '../../src/config/problem.ts'

test('problems are listed file by file, each from top to bottom', () => {
  const problem = (file: string, line: number | undefined, column: number): ConfigProblem => ({
    ...{ file, line, column, field: '' },
    ...{ message: 'wrong', fix: 'right' },
  })
  const { problems, message } = new ConfigError([
    problem('gatehouse.yaml', 7, 1),
    problem('a.yaml', 1, 1),
    problem('gatehouse.yaml', 4, 9),
    problem('gatehouse.yaml', 4, 2),
    problem('a.yaml', undefined, 1),
  ])
  const places = ['gatehouse.yaml:4:2', 'gatehouse.yaml:4:9', 'gatehouse.yaml:7:1']
  expect(message.split('\n')).toEqual(
    [...places, 'a.yaml', 'a.yaml:1:1'].map((place) => `${place}: wrong (right)`),
  )
  expect(problems.map(({ file, line }) => [file, line])).toEqual([
    ['gatehouse.yaml', 4],
    ['gatehouse.yaml', 4],
    ['gatehouse.yaml', 7],
    ['a.yaml', undefined],
    ['a.yaml', 1],
  ])
})
