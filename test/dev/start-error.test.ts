import { expect, test } from 'vitest'

import { describeFirstRunError } from '../../dev/first-run/start-error.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { BindError } from '../../src/listener/bind-error.ts'

const written = { file: '/run/gatehouse.yaml', line: 11, column: 3 }

test.for([
  { field: 'listener.port', option: '--port' },
  { field: 'probes.port', option: '--probes-port' },
  { field: 'upstream.kubeconfig', option: '--kubeconfig' },
])('a problem with $field is reported as one with $option', ({ field, option }) => {
  const problem = { ...written, field, message: 'is not valid', fix: 'choose another' }
  expect(describeFirstRunError(new ConfigError([problem]))).toBe(
    `cannot start: ${option}: is not valid (choose another)\n`,
  )
})

test('the message for a port that is in use names its option', () => {
  expect(
    describeFirstRunError(
      new BindError('probes: 127.0.0.1:1 is already in use (choose another probes.port)'),
    ),
  ).toBe('cannot start: probes: 127.0.0.1:1 is already in use (choose another --probes-port)\n')
})

test('a problem in a file of the user keeps file and line', () => {
  const problem = {
    file: '/home/k.yaml',
    line: 2,
    column: 1,
    field: 'clusters',
    message: 'is required',
    fix: 'must be a list',
  }
  expect(describeFirstRunError(new ConfigError([problem]))).toBe(
    '/home/k.yaml:2:1: clusters: is required (must be a list)\n',
  )
})

test('every other error is reported unchanged', () => {
  expect(describeFirstRunError(new Error('no space for listener.port'))).toBe(
    'cannot start: no space for listener.port\n',
  )
})
