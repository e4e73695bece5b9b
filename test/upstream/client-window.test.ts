import { expect, test } from 'vitest'

import { createClientWindows } from '../../src/upstream/client-window.ts'

const KIB = 1_024

test('a window is full at 512 KiB, and has room again at half of that', () => {
  const window = createClientWindows()()
  expect(window.add(511 * KIB)).toBe(true)
  expect(window.add(1 * KIB)).toBe(false)
  expect(window.remove(255 * KIB)).toBe(false)
  expect(window.remove(1 * KIB)).toBe(true)
})

test('while all clients together have 64 MiB, a window is full at 64 KiB', () => {
  const open = createClientWindows()
  const others = Array.from({ length: 128 }, () => open())
  for (const other of others) other.add(512 * KIB)
  const window = open()
  expect(window.add(64 * KIB)).toBe(false)
  expect(window.remove(33 * KIB)).toBe(true)
  others[0]?.remove(512 * KIB)
  expect(window.add(100 * KIB)).toBe(true)
})

test('what was never taken does not count once its exchange has ended', () => {
  const open = createClientWindows()
  for (let i = 0; i < 1_000; i++) {
    const window = open()
    window.add(512 * KIB)
    window.close()
    window.close()
    window.remove(512 * KIB)
  }
  expect(open().add(64 * KIB)).toBe(true)
})
