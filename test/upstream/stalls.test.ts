import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import {
  createStalls,
  type Stallable,
  type StallEntry,
  type Stalls,
} from '../../src/upstream/stalls.ts'

const TIMEOUT_MS = 60_000
let stalls: Stalls
let ended: string[]

beforeEach(() => {
  vi.useFakeTimers()
  ended = []
  stalls = createStalls(
    { timeout: TIMEOUT_MS },
    { onStallFailed: ({ message }) => ended.push(message) },
  )
})

afterEach(() => {
  stalls.close()
  vi.useRealTimers()
})

class Subject implements Stallable {
  bytesMoved = 0
  waitsForClient = true
  readonly name: string
  readonly entry: StallEntry

  constructor(name: string) {
    this.name = name
    this.entry = stalls.add(this)
  }

  stall(): void {
    ended.push(this.name)
    stalls.remove(this.entry)
  }
}

test('a stalled exchange ends, and not before the timeout', () => {
  new Subject('a')
  vi.advanceTimersByTime(TIMEOUT_MS - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(TIMEOUT_MS / 2)
  expect(ended).toEqual(['a'])
  expect(stalls.size).toBe(0)
})

test('an exchange that moves a byte within each timeout does not end', () => {
  const slow = new Subject('slow')
  for (let i = 0; i < 10; i += 1) {
    vi.advanceTimersByTime(TIMEOUT_MS - 1)
    slow.bytesMoved += 1
  }
  expect(ended).toEqual([])
})

test('an exchange that waits for the API server does not end', () => {
  const waiting = new Subject('waiting')
  waiting.waitsForClient = false
  vi.advanceTimersByTime(TIMEOUT_MS * 10)
  expect(ended).toEqual([])
  waiting.waitsForClient = true
  vi.advanceTimersByTime(TIMEOUT_MS - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(TIMEOUT_MS / 2)
  expect(ended).toEqual(['waiting'])
})

test('every exchange is checked while others are added and removed', () => {
  const subjects = ['a', 'b', 'c', 'd', 'e'].map((name) => new Subject(name))
  const [a, b, , d] = subjects
  for (const gone of [a, d]) if (gone !== undefined) stalls.remove(gone.entry)
  if (b !== undefined) b.waitsForClient = false
  new Subject('f')
  vi.advanceTimersByTime(TIMEOUT_MS * 2)
  expect(ended.toSorted()).toEqual(['c', 'e', 'f'])
  expect(stalls.size).toBe(1)
})

test('an exchange that is removed twice is removed once', () => {
  const [one, other] = [new Subject('one'), new Subject('other')]
  expect(stalls.size).toBe(2)
  stalls.remove(one.entry)
  stalls.remove(one.entry)
  expect(stalls.size).toBe(1)
  vi.advanceTimersByTime(TIMEOUT_MS * 2)
  expect(ended).toEqual([other.name])
})

test('an exchange that cannot be ended does not keep others from ending, and is reported', () => {
  const stuck = new Subject('stuck')
  stuck.stall = () => {
    stalls.remove(stuck.entry)
    throw new Error('cannot end')
  }
  new Subject('other')
  vi.advanceTimersByTime(2 * TIMEOUT_MS)
  expect(ended.toSorted()).toEqual(['cannot end', 'other'])
})
