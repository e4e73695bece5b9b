import { describe, expect, test } from 'vitest'

import {
  createIdentityGate,
  type IdentityFinding,
  type IdentityGate,
  type IdentityVerdict,
} from '../../src/upstream/identity-gate.ts'
import type { IdentityNames } from '../../src/upstream/identity.ts'

const found = (verdict: IdentityVerdict): IdentityFinding => ({
  verdict,
  problem: verdict === 'asserted' ? undefined : 'a problem',
})

interface Fixture {
  readonly gate: IdentityGate
  readonly find: (verdict: IdentityVerdict) => void
  readonly isOpen: () => boolean
  readonly wait: (milliseconds: number) => void
  readonly ignored: () => number
}

function create(mode: IdentityNames['mode']): Fixture {
  let time = 0
  let ignored = 0
  const gate = createIdentityGate({ mode }, { now: () => time, onIgnored: () => (ignored += 1) })
  return {
    gate,
    find: (verdict) => gate.begin()(found(verdict)),
    isOpen() {
      try {
        gate.check()
        return true
      } catch {
        return false
      }
    },
    wait: (milliseconds) => (time += milliseconds),
    ignored: () => ignored,
  }
}

describe.each(['requestheader', 'impersonation'] as const)('in mode %s, the gate', (mode) => {
  test('closes at once when the identity is ignored, and ends what runs, once', () => {
    const { find, isOpen, ignored } = create(mode)
    find('asserted')
    find('ignored')
    find('ignored')
    expect([isOpen(), ignored()]).toEqual([false, 1])
    find('unknown')
    expect(isOpen()).toBe(false)
    find('asserted')
    expect(isOpen()).toBe(true)
  })

  test('does not listen to a check that began with an earlier credential', () => {
    const { gate, find, isOpen } = create(mode)
    find('ignored')
    const conclude = gate.begin()
    gate.replaced(undefined)
    conclude(found('asserted'))
    expect(isOpen()).toBe(false)
    gate.replaced(found('asserted'))
    expect(isOpen()).toBe(true)
  })
})

test('in mode requestheader, the gate is closed until a check has passed, and refuses with a 503 that may be retried', () => {
  const { gate, find, isOpen } = create('requestheader')
  expect(() => gate.check()).toThrow(
    expect.objectContaining({ code: 503, reason: 'ServiceUnavailable', kind: 'identity' }),
  )
  find('unknown')
  expect(isOpen()).toBe(false)
  find('asserted')
  expect(isOpen()).toBe(true)
})

test('in mode requestheader, a refusal closes the gate', () => {
  const { find, isOpen } = create('requestheader')
  find('asserted')
  find('refused')
  expect(isOpen()).toBe(false)
})

test('in mode requestheader, the last verdict holds for 60 s while the API server is unreachable', () => {
  const { find, isOpen, wait } = create('requestheader')
  find('asserted')
  wait(60_000)
  find('unknown')
  expect(isOpen()).toBe(true)
  wait(1)
  find('unknown')
  expect(isOpen()).toBe(false)
  find('asserted')
  expect(isOpen()).toBe(true)
})

test('in mode impersonation, a refusal leaves the decision to the API server, at any time', () => {
  const { find, isOpen, wait } = create('impersonation')
  find('refused')
  wait(3_600_000)
  find('unknown')
  expect(isOpen()).toBe(true)
})

test('in mode impersonation, the gate is open until a check finds that the identity is ignored', () => {
  const { find, isOpen, ignored } = create('impersonation')
  expect(isOpen()).toBe(true)
  find('unknown')
  expect(isOpen()).toBe(true)
  find('ignored')
  expect([isOpen(), ignored()]).toEqual([false, 1])
})
