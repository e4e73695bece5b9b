import { describe, expect, test } from 'vitest'

import { createWallClock, formatDuration, formatMicroTime } from '../../src/audit/clock.ts'

describe('formatMicroTime formats', () => {
  test.for([
    [0, '1970-01-01T00:00:00.000000Z'],
    [1_795_664_686_560_913, '2026-11-26T03:44:46.560913Z'],
    [1_795_664_686_000_001, '2026-11-26T03:44:46.000001Z'],
    [1_795_664_686_999_999, '2026-11-26T03:44:46.999999Z'],
    [1_795_664_687_000_000, '2026-11-26T03:44:47.000000Z'],
    [1_795_664_686_060_000, '2026-11-26T03:44:46.060000Z'],
  ] as const)('%d as %s', ([microseconds, text]) => {
    expect(formatMicroTime(microseconds)).toBe(text)
  })
})

describe('formatDuration formats', () => {
  test.for([
    [0, '0.000ms'],
    [0.0004, '0.000ms'],
    [0.0006, '0.001ms'],
    [12.345, '12.345ms'],
    [999.9996, '1000.000ms'],
    [86_400_000.5, '86400000.500ms'],
    [-1, '0.000ms'],
  ] as const)('%d as %s', ([milliseconds, text]) => {
    expect(formatDuration(milliseconds)).toBe(text)
    expect(formatDuration(milliseconds)).toBe(text)
  })
})

describe('the wall clock', () => {
  test('counts from its origin with microseconds', () => {
    const clock = createWallClock(1_000)
    expect(clock.microsecondsAt(0.5)).toBe(1_000_500)
    expect(clock.microsecondsAt(10_000.123)).toBe(11_000_123)
  })

  test('follows a step of the system clock, but not its limited resolution', () => {
    let step = 0
    const clock = createWallClock(performance.timeOrigin, () => Date.now() + step)
    const start = performance.now()
    const at = clock.microsecondsAt(start)
    expect(clock.microsecondsAt(start + 2_000) - at).toBe(2_000_000)
    step = 3_600_000
    const stepped = clock.microsecondsAt(start + 4_000) - at
    expect(Math.abs(stepped - 4_000_000 - 3_600_000_000)).toBeLessThan(100_000)
  })
})
