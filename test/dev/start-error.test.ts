import { expect, test } from 'vitest'

import { describeFirstRunError } from '../../dev/first-run/start-error.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { BindError } from '../../src/listener/bind-error.ts'

const written = { file: '/run/gatehouse.yaml', line: 11, column: 3 }

test.for([
  { field: 'listener.port', option: '--port' },
  { field: 'probes.port', option: '--probes-port' },
  { field: 'upstream.kubeconfig', option: '--kubeconfig' },
])('what is wrong with $field is told of $option', ({ field, option }) => {
  const problem = { ...written, field, message: 'is no good', fix: 'take another' }
  expect(describeFirstRunError(new ConfigError([problem]))).toBe(
    `cannot start: ${option}: is no good (take another)\n`,
  )
})

test('a taken port is told of its option', () => {
  expect(
    describeFirstRunError(
      new BindError('probes: 127.0.0.1:1 is in use (choose another probes.port)'),
    ),
  ).toBe('cannot start: probes: 127.0.0.1:1 is in use (choose another --probes-port)\n')
})

test('a mistake in a file of the user keeps file and line', () => {
  const problem = {
    file: '/home/k.yaml',
    line: 2,
    column: 1,
    field: 'clusters',
    message: 'is required',
    fix: 'see the annotated example',
  }
  expect(describeFirstRunError(new ConfigError([problem]))).toBe(
    '/home/k.yaml:2:1: clusters: is required (see the annotated example)\n',
  )
})

test('every other error is told as it is', () => {
  expect(describeFirstRunError(new Error('no space for listener.port'))).toBe(
    'cannot start: no space for listener.port\n',
  )
})
